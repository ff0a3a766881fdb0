import Foundation

/// A built program of the package, which is run as a process of its own.
package struct BuiltProgram: Sendable {
    package let path: String

    /// - Parameter name: a name such as `l2s`. The program is in the folder of the tests'
    ///   executable.
    package init(_ name: String) throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        path =
            URL(fileURLWithPath: tests).deletingLastPathComponent()
            .appendingPathComponent(name).path
    }

    /// A program of the system, found by `PATH`; nil if it is not installed.
    package init?(installed name: String) {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let paths = folders.map { "\($0)/\(name)" }
        guard let path = paths.first(where: FileManager.default.isExecutableFile) else {
            return nil
        }
        self.path = path
    }

    /// The program at a path.
    package init(path: String) { self.path = path }

    /// Runs the program to its end. It gets the variables of this process without `L2S_…` and `PG…`,
    /// and those of `environment`. Its home is that of the fixtures unless `environment` names another.
    package func run(
        _ arguments: [String], input: some Sequence<UInt8> = [],
        environment: [String: String] = [:]
    ) async throws -> RunningProgram.Ending {
        try await start(arguments, input: input, environment: environment).ending()
    }

    package func start(
        _ arguments: [String], input: some Sequence<UInt8> = [],
        environment: [String: String] = [:]
    ) throws -> RunningProgram {
        let all = ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("L2S_") && !$0.key.hasPrefix("PG") }
            .merging(["L2S_HOME": Fixtures.home]) { _, given in given }
            .merging(environment) { _, given in given }
        return try RunningProgram(
            [path] + arguments, input: input, environment: all.map { "\($0.key)=\($0.value)" })
    }
}

/// A process that was started. Its input and outputs are files, so that no pipe has to be read
/// while it runs.
package final class RunningProgram: Sendable {
    package let processID: Int32
    private let folder: ScratchFolder

    package struct Ending: Sendable {
        /// The exit status, or minus the number of the signal that ended the process.
        package let status: Int32
        package let output: String
        /// What it wrote to standard error.
        package let remarks: String
    }

    /// Starts the process without Foundation's Process, which learns of an end when a socket
    /// closes. A program that another test starts at the same moment may inherit that socket and
    /// keep it open, and then nobody learns of the end.
    fileprivate init(
        _ command: [String], input: some Sequence<UInt8>, environment: [String]
    ) throws {
        folder = try ScratchFolder()
        try folder.write("input", input)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, folder.path + "/input", O_RDONLY, 0)
        for (descriptor, name) in [(Int32(1), "output"), (2, "remarks")] {
            posix_spawn_file_actions_addopen(
                &actions, descriptor, "\(folder.path)/\(name)", O_WRONLY | O_CREAT, 0o600)
        }
        for inherited in Int32(3)..<1024 {
            posix_spawn_file_actions_addclose(&actions, inherited)
        }
        // The runtime's threads, such as this one, block signals. A child would inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let words = command.map { strdup($0) } + [nil]
        let variables = environment.map { strdup($0) } + [nil]
        defer { for text in words + variables { free(text) } }
        var processID: Int32 = 0
        let problem = posix_spawn(
            &processID, command[0], &actions, &attributes, words, variables)
        guard problem == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: problem) ?? .ENOENT)
        }
        self.processID = processID
    }

    package func send(_ signal: Int32) { kill(processID, signal) }

    /// What it wrote to standard error so far.
    package var remarks: String {
        (try? String(contentsOfFile: folder.path + "/remarks", encoding: .utf8)) ?? ""
    }

    /// Waits for the end. Call it only once.
    package func ending() async throws -> Ending {
        let processID = processID
        let status: Int32 = await withCheckedContinuation { continuation in
            // A thread and not a queue, because many programs may run for a long time.
            Thread.detachNewThread {
                var status: Int32 = 0
                while waitpid(processID, &status, 0) < 0, errno == EINTR {}
                let signal = status & 0x7f
                continuation.resume(returning: signal == 0 ? status >> 8 & 0xff : -signal)
            }
        }
        func text(_ name: String) throws -> String {
            try String(contentsOfFile: "\(folder.path)/\(name)", encoding: .utf8)
        }
        return Ending(status: status, output: try text("output"), remarks: try text("remarks"))
    }
}
