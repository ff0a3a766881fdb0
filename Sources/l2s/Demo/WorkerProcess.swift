import Foundation
import Programs
import Settings

/// The l2s-worker that was built beside this program, as a child that is still to be run.
enum WorkerProcess {
    /// - Parameter log: the file that gets all it writes.
    static func make(
        _ database: DatabaseURL, _ installation: Installation, log: String,
        _ arguments: [String]
    ) throws -> Process {
        let path = URL(fileURLWithPath: Installation.runningProgram)
            .deletingLastPathComponent().appendingPathComponent("l2s-worker").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure(
                "expected the program l2s-worker beside l2s, at \(path), found none; "
                    + "build it: swift build -c release --product l2s-worker")
        }
        guard FileManager.default.createFile(atPath: log, contents: nil),
            let output = FileHandle(forWritingAtPath: log)
        else { throw Failure("cannot write the worker's log, \(log)") }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments =
            [
                "--jobs", installation.jobsFolder, "--models", installation.modelsFolder,
            ] + arguments
        // Not among the arguments, so that the process list shows no address.
        process.environment = ProcessInfo.processInfo.environment.merging(
            [SettingName.databaseURL.variable: database.connectionString]) { _, ours in ours }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        return process
    }
}
