import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Finished documents are counted once, and later changes correct the count.
@Suite struct TallyTests {
    private let queue: QueueFixture
    private let client: QueueClient

    init() async throws {
        queue = try await QueueFixture()
        client = QueueClient(queue.sql)
    }

    /// Expects these numbers of succeeded, failed and cancelled documents of `summarize`, in the
    /// status and in the table of results.
    private func expectCounts(
        _ expected: [Int], sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let status = try #require(try await client.status().first { $0.name == "summarize" })
        #expect(
            [status.succeeded, status.failed, status.cancelled] == expected,
            sourceLocation: sourceLocation)
        #expect(
            try await queue.count("l2s.result") == expected.reduce(0, +),
            sourceLocation: sourceLocation)
    }

    /// Tallies until all results are counted. Transactions of other tests may hold it up.
    private func tally() async throws {
        try await eventually("all results are tallied") {
            try await queue.sql.query("SELECT l2s.tally_results()")
            return try await queue.count(
                "l2s.result WHERE written_in >= (SELECT until FROM l2s.tallied)") == 0
        }
    }

    @Test func whatIsRunAgainOrDroppedIsNoLongerCounted() async throws {
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(6)
        let claim = try #require(try await worker.claim(4))
        _ = try await worker.store.complete(
            worker.id, claim.lease,
            ids.prefix(4).map { .fixture($0, $0 == ids[0] ? .rejected(reason: "r") : .done) })
        #expect(try await queue.cancel([ids[5]]) == 1)
        try await expectCounts([3, 1, 1])
        try await tally()
        try await expectCounts([3, 1, 1])

        #expect(try await client.retry([ids[0], ids[1], ids[5]]) == 2)
        try await expectCounts([3, 0, 0])
        try await worker.complete(try #require(try await worker.claim()))
        try await expectCounts([6, 0, 0])
        try await tally()
        try await expectCounts([6, 0, 0])
        #expect(try await queue.count("l2s.tally") == 1)

        try await queue.keep("0")
        try await queue.drop(part: 0)
        try await expectCounts([0, 0, 0])
    }

    /// Results that a transaction is about to take back are not tallied meanwhile.
    @Test func tallyingWaitsForWhatIsRunAgain() async throws {
        let ids = try await queue.enqueue(3)
        #expect(try await queue.cancel(ids) == 3)
        let other = try await queue.database.connect()
        try await other.query("BEGIN")
        try await other.query("SELECT l2s.retry($1)", [.int(ids[0])])
        try await queue.sql.query("SELECT l2s.tally_results()")
        try await expectCounts([0, 0, 3])
        #expect(try await queue.count("l2s.tally") == 0)
        try await other.query("COMMIT")
        try await expectCounts([0, 0, 2])
        try await tally()
        try await expectCounts([0, 0, 2])
    }
}
