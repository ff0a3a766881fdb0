import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct GroupTests {
    @Test func progressIsDerivedAndTheEndIsTold() async throws {
        let queue = try await QueueFixture(attempts: 1)
        let worker = try await queue.worker()
        let listener = try await queue.database.connect()
        try await listener.listen(to: "l2s_groups")
        try await queue.enqueue(5, group: "nightly")
        try await queue.enqueue(3, group: "other")
        let client = QueueClient(queue.sql)
        let claim = try #require(try await worker.claim(4))
        _ = try await worker.complete(claim)
        try await expectCounts(client, waiting: 1, succeeded: 4)
        #expect(try await worker.store.finishGroups(atOnce: false) == 0)
        _ = try await worker.complete(try #require(try await worker.claim(1)), .failed(reason: "x"))
        try await expectCounts(client, succeeded: 4, failed: 1)
        try await queue.letTheLastLookBeLongAgo()
        #expect(try await worker.store.finishGroups(atOnce: false) == 1)
        #expect(try await listener.waitForNotification(timeout: .seconds(TestDatabase.patience)))
        #expect(try await queue.count("l2s.groups WHERE finished_at IS NOT NULL") == 1)

        // With more documents, the group is open again, under the same name.
        try await queue.enqueue(2, group: "nightly")
        try await expectCounts(client, waiting: 2, succeeded: 4, failed: 1)
        #expect(try await queue.count("l2s.groups WHERE finished_at IS NOT NULL") == 0)
        #expect(try await client.cancel(group: "nightly") == 2)
        try await expectCounts(client, succeeded: 4, failed: 1, cancelled: 2)
        #expect(try await client.group("other")?.waiting == 3)
        #expect(try await client.group("none") == nil)
        #expect(try await client.retryDeadLetters(jobType: nil, group: "nightly") == 1)
        try await expectCounts(client, waiting: 1, succeeded: 4, cancelled: 2)
    }

    @Test func aGroupIsNotFinishedUnderAProducer() async throws {
        let queue = try await QueueFixture()
        let (worker, producer) = (try await queue.worker(), try await queue.database.connect())
        try await queue.enqueue(1, group: "g")
        try await producer.query("BEGIN")
        try await producer.query("SELECT l2s.enqueue('summarize', 'more', \"group\" => 'g')")
        try await worker.complete(try #require(try await worker.claim()))
        #expect(try await worker.store.finishGroups(atOnce: false) == 0)
        try await producer.query("COMMIT")
        try await queue.letTheLastLookBeLongAgo()
        #expect(try await worker.store.finishGroups(atOnce: false) == 0)
        try await worker.complete(try #require(try await worker.claim()))
        try await queue.letTheLastLookBeLongAgo()
        #expect(try await worker.store.finishGroups(atOnce: false) == 1)
        // A worker has just looked for all others.
        #expect(try await worker.store.finishGroups(atOnce: false) == 0)
    }

    /// Two producers that name the same new group do not wait for each other.
    @Test func transactionsThatNameANewGroupDoNotWait() async throws {
        let queue = try await QueueFixture()
        let producer = try await queue.database.connect()
        try await producer.query("BEGIN")
        try await producer.query("SELECT l2s.enqueue('summarize', 'one', \"group\" => 'g')")
        try await queue.sql.query("SET lock_timeout = '1min'")
        try await queue.enqueue(1, group: "g")
        try await producer.query("COMMIT")
        #expect(try await QueueClient(queue.sql).group("g")?.waiting == 2)
    }

    private func expectCounts(
        _ client: QueueClient, waiting: Int = 0, succeeded: Int = 0, failed: Int = 0,
        cancelled: Int = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let status = try #require(
            try await client.group("nightly"), sourceLocation: sourceLocation)
        #expect(
            [status.waiting, status.succeeded, status.failed, status.cancelled]
                == [waiting, succeeded, failed, cancelled], sourceLocation: sourceLocation)
        #expect(
            status.documents == waiting + succeeded + failed + cancelled,
            sourceLocation: sourceLocation)
    }
}

extension QueueFixture {
    func enqueue(_ count: Int, group: String) async throws {
        try await sql.query(
            """
            SELECT l2s.enqueue('summarize', 'text ' || i, "group" => $1)
            FROM generate_series(1, $2) AS i
            """, [.text(group), .int(count)])
    }

    func letTheLastLookBeLongAgo() async throws {
        try await sql.query("UPDATE l2s.chore SET at = '-infinity'")
    }
}
