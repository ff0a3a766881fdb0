import ArgumentParser
import Foundation
import PostgresJobs

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show how many jobs wait, run and are done, and which workers are alive.",
        discussion: """
            The jobs themselves are in view l2s.jobs, rates and times in l2s.throughput. With \
            --json: {"schema_version", "job_types": [{"name", "paused", "paused_because", \
            "waiting", "delayed", "running", "succeeded", "failed", "cancelled", "oldest_waiting_s"}], "workers": [{"name", \
            "version", "idle", "draining", "batches", "silent_s"}]}.
            """)

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        let client = QueueClient(try await database.open())
        let report = StatusReport(
            types: try await client.status(), workers: try await client.workers())
        Console.print(json ? try report.json : report.text)
    }
}

struct StatusReport: Encodable {
    struct JobType: Encodable {
        let name: String
        let paused: Bool
        /// Why the job type paused itself; nil if it did not.
        let pausedBecause: String?
        let waiting, delayed, running, succeeded, failed, cancelled: Int
        /// Null when nothing waits.
        let oldestWaitingS: Double?
    }

    struct Worker: Encodable {
        let name, version: String
        let idle, draining: Bool
        let batches: Int
        let silentS: Double
    }

    let schemaVersion = l2s.schemaVersion
    let jobTypes: [JobType]
    let workers: [Worker]

    init(types: [JobTypeStatus], workers: [WorkerStatus]) {
        jobTypes = types.map {
            JobType(
                name: $0.name, paused: $0.paused, pausedBecause: $0.pausedBecause,
                waiting: $0.waiting, delayed: $0.delayed,
                running: $0.running, succeeded: $0.succeeded, failed: $0.failed,
                cancelled: $0.cancelled, oldestWaitingS: $0.oldestWaiting.map { $0 / .seconds(1) })
        }
        self.workers = workers.map {
            Worker(
                name: $0.name, version: $0.version, idle: $0.idle, draining: $0.draining,
                batches: $0.leases, silentS: $0.silentFor / .seconds(1))
        }
    }

    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }

    var text: String {
        guard !jobTypes.isEmpty else {
            return "no job types yet: run l2s migrate"
        }
        var types = Columns([
            ("job type", .left), ("waiting", .right), ("delayed", .right), ("running", .right),
            ("succeeded", .right), ("failed", .right), ("cancelled", .right),
            ("oldest waits", .right), ("", .left),
        ])
        for type in jobTypes {
            types.add(
                [type.name]
                    + [
                        type.waiting, type.delayed, type.running, type.succeeded, type.failed,
                        type.cancelled,
                    ].map(\.grouped)
                    + [
                        type.oldestWaitingS.map { "\($0.rounded(digits: 0)) s" } ?? "",
                        type.paused ? "paused" : "",
                    ])
        }
        var alive = Columns([
            ("worker", .left), ("version", .left), ("batches", .right), ("silent for", .right),
            ("", .left),
        ])
        for worker in workers {
            alive.add([
                worker.name, worker.version, worker.batches.grouped,
                "\(worker.silentS.rounded(digits: 0)) s",
                worker.draining ? "stopping" : worker.idle ? "idle" : "busy",
            ])
        }
        let second = workers.isEmpty ? ["no worker is alive: start l2s-worker"] : alive.lines
        let reasons = jobTypes.compactMap { type in
            type.pausedBecause.map { "\(type.name) paused itself: \($0)" }
        }
        return (types.lines + reasons + [""] + second).joined(separator: "\n")
    }
}
