internal import Jobs
internal import Postgres
internal import PostgresJobs

/// How long it takes to claim and to finish a batch, for what else lies in the tables.
package struct ClaimTimes: Sendable, Encodable {
    package let waiting: Int
    package let finished: Int
    /// Milliseconds, as a client on the same machine sees them.
    package let claim: Percentiles
    package let finish: Percentiles

    /// Measures with `waiting` documents in the queue. What a claim takes is added again behind
    /// them.
    package static func atDepth(
        _ server: BenchServer, waiting: Int, finished: Int, batch: Int, claims: Int,
        partitions: Int
    ) async throws -> ClaimTimes {
        let database = try await server.database("depth")
        try await database.addPartitions(partitions)
        try await database.fill(finished: finished)
        try await database.fill(waiting: waiting)
        try await database.settle()
        let times = try await BatchTimer(database, batch: batch).run(claims, refilling: true)
        await database.sql.close()
        try await server.drop("depth")
        return ClaimTimes(waiting: waiting, finished: finished, times)
    }

    init(waiting: Int, finished: Int, _ times: BatchTimer.Times) {
        self.waiting = waiting
        self.finished = finished
        claim = Percentiles(times.claim)
        finish = Percentiles(times.finish)
    }
}

/// The cost of a snapshot that is held while documents pass. Vacuum cannot remove what the snapshot
/// may see.
package struct SnapshotCost: Sendable, Encodable {
    package let free: ClaimTimes
    package let held: ClaimTimes

    package init(
        _ server: BenchServer, documents: Int, batch: Int, claims: Int
    ) async throws {
        func measure(held: Bool) async throws -> ClaimTimes {
            let database = try await server.database("snapshot")
            try await database.fill(waiting: documents + claims * batch)
            try await database.settle()
            let reader = try await database.connect()
            try await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
            if held { try await reader.query("SELECT count(*) FROM l2s.worker") }
            let timer = try await BatchTimer(database, batch: batch)
            _ = try await timer.run(documents / batch, refilling: false)
            let times = try await timer.run(claims, refilling: false)
            await reader.close()
            await database.sql.close()
            try await server.drop("snapshot")
            return ClaimTimes(waiting: claims * batch, finished: documents, times)
        }
        free = try await measure(held: false)
        held = try await measure(held: true)
    }
}

/// Claims and finishes batches, one after the other, and measures the times.
struct BatchTimer {
    struct Times {
        var claim: [Double] = []
        var finish: [Double] = []
    }

    private let database: BenchDatabase
    private let store: PostgresJobStore
    private let request: ClaimRequest

    /// - Parameter options: libpq's options of the worker's connections.
    init(
        _ database: BenchDatabase, batch: Int, leaseDuration: Duration = .seconds(30),
        options: String = ""
    ) async throws {
        self.database = database
        store = try database.store(options: options)
        let worker = try await store.register(
            WorkerDescription(host: "bench", processID: 0, version: "bench"),
            jobTypes: [BenchDatabase.jobType])
        request = ClaimRequest(
            worker: worker, encoder: BenchDatabase.jobType.encoder,
            jobTypes: [BenchDatabase.jobType.name], maximumDocuments: batch,
            maximumTokens: 131_072, leaseDuration: leaseDuration)
    }

    func claim() async throws -> Claim? { try await store.claim(request) }

    func run(_ claims: Int, refilling: Bool) async throws -> Times {
        var times = Times()
        for _ in 0..<claims {
            let start = ContinuousClock.now
            guard let claim = try await claim() else { break }
            let claimed = ContinuousClock.now
            let documents = claim.documents.map {
                FinishedDocument(
                    id: $0.id, outcome: .succeeded(output: $0.text, tokens: []),
                    measurements: Measurements())
            }
            let begun = ContinuousClock.now
            _ = try await store.complete(request.worker, claim.lease, documents)
            times.finish.append(begun.duration(to: .now) / .milliseconds(1))
            times.claim.append(start.duration(to: claimed) / .milliseconds(1))
            if refilling { try await database.fill(waiting: documents.count) }
        }
        return times
    }
}
