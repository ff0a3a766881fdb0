internal import Jobs
internal import Logging
internal import PostgresJobs
internal import Worker

/// Workers like those of l2s-worker, but in this process and with engines that do nothing.
struct BenchWorkers: Sendable {
    let count: Int
    /// The most documents of a claim.
    let batch: Int
    var leaseDuration = Duration.seconds(30)
    var pollInterval = Duration.milliseconds(250)

    init(count: Int, batch: Int) {
        self.count = count
        self.batch = batch
    }

    /// Runs until the queue is empty.
    func empty(_ database: BenchDatabase) async throws {
        try await run(database, untilEmpty: true)
    }

    /// Runs while `body` does.
    func during<Result: Sendable>(
        _ database: BenchDatabase, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await run(database, untilEmpty: false)
                return nil
            }
            group.addTask {
                try await eventually {
                    try await database.count("l2s.worker WHERE stopped_at IS NULL") >= count
                }
                return try await body()
            }
            while let finished = try await group.next() {
                guard let result = finished else { continue }
                group.cancelAll()
                try await group.waitForAll()
                return result
            }
            throw CancellationError()
        }
    }

    private func run(_ database: BenchDatabase, untilEmpty: Bool) async throws {
        try await withThrowingTaskGroup { group in
            for _ in 0..<count {
                let store = try database.store()
                let service = WorkerService(
                    configuration: configuration(untilEmpty: untilEmpty), store: store,
                    processor: EchoProcessor(batch: batch), logger: silence)
                group.addTask {
                    try await service.run()
                    await store.close()
                }
            }
            try await group.waitForAll()
        }
    }

    private var silence: Logger {
        Logger(label: "l2s bench") { _ in SwiftLogNoOpLogHandler() }
    }

    private func configuration(untilEmpty: Bool) -> WorkerConfiguration {
        WorkerConfiguration(
            description: WorkerDescription(host: "bench", processID: 0, version: "bench"),
            jobTypes: [BenchDatabase.jobType], leaseDuration: leaseDuration,
            pollInterval: pollInterval, drainTimeout: .seconds(10), stopsWhenEmpty: untilEmpty,
            threads: 1, decoders: 1)
    }
}

/// Checks every 5 ms until `condition` holds.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}
