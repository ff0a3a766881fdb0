import Foundation

/// A program of the package as it was built, run as a process of its own.
package struct BuiltProgram: Sendable {
    package let path: String

    /// - Parameter name: such as `l2s`; it lies beside the tests' own executable.
    package init(_ name: String) throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        path =
            URL(fileURLWithPath: tests).deletingLastPathComponent()
            .appendingPathComponent(name).path
    }

    package struct Ending: Sendable {
        package let status: Int32
        package let output: String
        /// What it said on standard error.
        package let remarks: String
    }

    /// Runs it to its end, without the environment's `L2S_…` but with `environment`.
    package func run(
        _ arguments: [String], input: some Sequence<UInt8> = [],
        environment: [String: String] = [:]
    ) async throws -> Ending {
        // Files, not pipes: nothing has to be emptied while it runs.
        let folder = try ScratchFolder()
        let source = try folder.write("input", input)
        let output = try folder.write("output", [])
        let remarks = try folder.write("remarks", [])
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("L2S_") }.merging(environment) { _, given in given }
        process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: source))
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: remarks))
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        for await _ in ended {}
        return Ending(
            status: process.terminationReason == .exit ? process.terminationStatus : -1,
            output: try String(contentsOfFile: output, encoding: .utf8),
            remarks: try String(contentsOfFile: remarks, encoding: .utf8))
    }
}
