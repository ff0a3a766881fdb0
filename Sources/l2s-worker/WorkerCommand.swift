import ArgumentParser
import Foundation
import L2SWorker
import Logging
import PostgresJobs
import Programs
import Settings
import Telemetry

/// The daemon's entry: flags in, exit code out.
@main
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "l2s-worker",
        abstract: "Runs the documents that wait in PostgreSQL through their models.",
        discussion: """
            Claims documents in batches, has a large model read and a small one write, and writes \
            the outputs back. Any number of workers may share a database: each document gets \
            exactly one result, even if workers or the server die. Run l2s migrate once before.

            A flag overrides its variable: --database-url overrides L2S_DATABASE_URL, and so on.

            SIGTERM, SIGINT or SIGHUP drains the worker: it claims nothing more, and documents that \
            have not begun go back to the queue at once. Running documents may finish until \
            --drain-timeout is over, then they go back, too. Going back costs a document no \
            attempt. A second signal stops the worker at once; other workers take its documents \
            over when their leases run out.

            \(ExitStatus.table)
            """,
        version: "l2s-worker \(Version.current), schema version \(SchemaMigrator().version)")

    @Option(help: SettingName.databaseURL.argumentHelp) var databaseURL: String?
    @Option(help: SettingName.listenURL.argumentHelp) var listenURL: String?
    @Option(help: SettingName.schema.argumentHelp) var schema: String?
    @Option(help: SettingName.jobs.argumentHelp) var jobs: String?
    @Option(help: SettingName.models.argumentHelp) var models: String?
    @Option(help: SettingName.threads.argumentHelp) var threads: String?
    @Option(help: SettingName.pin.argumentHelp) var pin: String?
    @Option(help: SettingName.decoders.argumentHelp) var decoders: String?
    @Option(help: SettingName.decoderRows.argumentHelp) var decoderRows: String?
    @Option(help: SettingName.handoffCapacity.argumentHelp) var handoffCapacity: String?
    @Option(help: SettingName.promptCache.argumentHelp) var promptCache: String?
    @Option(help: SettingName.pollInterval.argumentHelp) var pollInterval: String?
    @Option(help: SettingName.lease.argumentHelp) var lease: String?
    @Option(help: SettingName.drainTimeout.argumentHelp) var drainTimeout: String?
    @Option(help: SettingName.httpAddress.argumentHelp) var httpAddress: String?
    @Option(help: SettingName.logLevel.argumentHelp) var logLevel: String?
    @Option(help: SettingName.logFormat.argumentHelp) var logFormat: String?
    @Flag(
        help: """
            Stop once no document of the job types waits, runs or is to be tried again. Documents \
            scheduled for later and those of paused job types are left; the log counts them.
            """)
    var untilEmpty = false

    func run() async throws {
        CommandLineSecrets.moveToEnvironment()
        // A log whose reader is gone must not kill the worker.
        signal(SIGPIPE, SIG_IGN)
        do throws(Failure) {
            try await work(settings())
        } catch {
            try? FileHandle.standardError.write(
                contentsOf: Data("l2s-worker: \(error.description)\n".utf8))
            throw ExitCode(error.status.rawValue)
        }
    }

    private func work(_ settings: WorkerSettings) async throws(Failure) {
        startLogging(
            level: Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info,
            form: settings.logFormat == .json ? .json : .text)
        do {
            let worker = try DocumentWorker(
                settings, stopsWhenEmpty: untilEmpty, logger: Logger(label: "l2s-worker"))
            let signals = Signals(
                // A task, because the handler cannot wait.
                first: { Task { await worker.drain() } },
                second: { signal in
                    worker.leave()
                    // Not exit(): its handlers would destroy what lanes still compute with.
                    _exit(128 + signal)
                })
            defer { signals.cancel() }
            try await worker.run()
        } catch {
            throw Failure(error)
        }
    }

    private func settings() throws(Failure) -> WorkerSettings {
        let flags: [SettingName: String?] = [
            .databaseURL: databaseURL, .listenURL: listenURL, .schema: schema, .jobs: jobs,
            .models: models, .threads: threads,
            .pin: pin, .decoders: decoders, .decoderRows: decoderRows,
            .handoffCapacity: handoffCapacity,
            .promptCache: promptCache, .pollInterval: pollInterval, .lease: lease,
            .drainTimeout: drainTimeout, .httpAddress: httpAddress, .logLevel: logLevel,
            .logFormat: logFormat,
        ]
        do throws(Refusals) {
            let info = ProcessInfo.processInfo
            return try WorkerSettings(
                RawSettings(flags: flags, environment: info.environment),
                cores: Processors.available.usable)
        } catch {
            throw Failure(error.description, .usage)
        }
    }
}

extension SettingName {
    fileprivate var argumentHelp: ArgumentHelp { ArgumentHelp("\(help) [\(variable)]") }
}
