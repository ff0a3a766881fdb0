import Foundation
import TestSupport

/// A running `l2s-worker`, the binary that was built beside these tests.
final class WorkerProgram: Sendable {
    let processID: Int32
    private let process: Process
    private let scratch: ScratchFolder
    private let exit: Task<Exit, Never>

    struct Exit: Equatable {
        /// Nil when a signal ended it.
        let code: Int32?
    }

    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        let folder = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent()
        let binary = folder.appending(path: "l2s-worker")
        guard FileManager.default.isExecutableFile(atPath: binary.path()) else {
            throw MissingBinary(path: binary.path())
        }
        scratch = try ScratchFolder()
        let log = try scratch.write("log", [])
        let process = Process()
        process.executableURL = binary
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("L2S_") && !$0.key.hasPrefix("PG") }
            .merging(["L2S_HOME": Fixtures.home]) { $1 }
            .merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: URL(filePath: log))
        let (exits, continuation) = AsyncStream.makeStream(of: Exit.self)
        process.terminationHandler = { process in
            let isExit = process.terminationReason == .exit
            continuation.yield(Exit(code: isExit ? process.terminationStatus : nil))
            continuation.finish()
        }
        exit = Task {
            for await exit in exits { return exit }
            return Exit(code: nil)
        }
        try process.run()
        self.process = process
        processID = process.processIdentifier
    }

    /// Nothing outlives its test.
    deinit {
        if process.isRunning { kill(processID, SIGKILL) }
    }

    func send(_ signal: Int32) { kill(processID, signal) }

    func waitForExit() async -> Exit { await exit.value }

    /// What it wrote to standard error so far.
    var log: String {
        (try? String(contentsOfFile: scratch.path + "/log", encoding: .utf8)) ?? ""
    }
}

struct MissingBinary: Error, CustomStringConvertible {
    let path: String

    var description: String { "expected l2s-worker at \(path), found nothing: swift build" }
}
