import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// What the page and `l2s top` show.
@Suite struct QueueWatchTests {
    private let queue: QueueFixture

    init() async throws { queue = try await QueueFixture() }

    private func enqueue(_ count: Int, group: String) async throws {
        try await queue.sql.query(
            """
            SELECT l2s.enqueue('summarize', 'text', "group" => $1) FROM generate_series(1, $2)
            """, [.text(group), .int(count)])
    }

    @Test func openGroupsAreCountedAndFinishedOnesLeftOut() async throws {
        let worker = try await FixtureWorker(queue.database)
        try await enqueue(2, group: "over")
        try await worker.complete(try #require(try await worker.claim()))
        try await enqueue(1, group: "again")
        try await worker.complete(try #require(try await worker.claim()))
        _ = try await worker.store.finishGroups(atOnce: false)
        try await enqueue(5, group: "open")
        try await enqueue(3, group: "again")
        try await queue.enqueue(1)
        let claim = try #require(try await worker.claim(2))
        _ = try await worker.store.complete(
            worker.id, claim.lease,
            [
                .fixture(claim.documents[0].id, .done),
                .fixture(claim.documents[1].id, .rejected(reason: "bad")),
            ])
        try await queue.sql.query(
            """
            SELECT l2s.cancel(document_id) FROM l2s.queue WHERE group_id IN (
                SELECT id FROM l2s.group_run WHERE name = 'open') ORDER BY document_id DESC LIMIT 1
            """)
        let groups = try await QueueWatch(queue.database.connect()).look().groups
        // The group that was begun last comes first. Its earlier documents count, as in l2s.groups.
        #expect(groups.map(\.name) == ["again", "open"])
        #expect(groups.map(\.left) == [3, 2])
        #expect(groups.map(\.succeeded) == [1, 1])
        #expect(groups.map(\.failed) == [0, 1])
        #expect(groups.map(\.cancelled) == [0, 1])
        #expect(groups.map(\.finished) == [1, 2])
        for group in groups {
            let documents: Int = try await queue.sql.query(
                "SELECT documents FROM l2s.groups WHERE name = $1", [.text(group.name)]
            ).single()
            #expect(group.documents == documents)
        }
    }

    /// Otherwise, cancelling thousands of documents would look like throughput.
    @Test func cancelledDocumentsAreNoThroughput() async throws {
        let worker = try await FixtureWorker(queue.database)
        try await queue.enqueue(3)
        try await worker.complete(try #require(try await worker.claim(1)))
        try await queue.sql.query("SELECT l2s.cancel(document_id) FROM l2s.queue")
        let seen = try await QueueWatch(queue.database.connect()).look()
        let type = try #require(seen.queues.first { $0.name == "summarize" })
        #expect((type.finished, type.failed, type.cancelled) == (1, 0, 2))
        #expect(seen.points.map(\.documents).reduce(0, +) == 1)
        #expect(seen.recent.count == 1)
        #expect(seen.dead == 0)
    }

    @Test func whatRunsAndIsToEndIsCancelling() async throws {
        let worker = try await FixtureWorker(queue.database)
        try await queue.enqueue(3)
        _ = try #require(try await worker.claim(2))
        try await queue.sql.query("SELECT l2s.cancel(document_id) FROM l2s.queue WHERE state = 1")
        let watch = QueueWatch(try await queue.database.connect())
        let seen = try await watch.look()
        let type = try #require(seen.queues.first { $0.name == "summarize" })
        #expect((type.waiting, type.running, type.cancelling) == (1, 2, 2))
        #expect(!seen.isPaused)
        try await queue.sql.query("SELECT l2s.pause()")
        // Running documents go on.
        #expect(try await !watch.look().isPaused)
        try await queue.sql.query("DELETE FROM l2s.queue WHERE state = 1")
        #expect(try await watch.look().isPaused)
    }

    /// No look reads the whole table of results.
    @Test func aLookReadsWhatIsNew() async throws {
        try await queue.sql.query(
            """
            INSERT INTO l2s.result (
                document_id, job_type, attempt, succeeded, claimed_at, finished_at, output,
                tokens_in, tokens_out)
            SELECT
                n, (SELECT min(id) FROM l2s.job_type), 1, true, at, at, 'a text of some length',
                10, 10
            FROM generate_series(1, 100000) AS n,
                LATERAL (SELECT now() - (100000 - n) * interval '25 s') AS t(at)
            """)
        try await queue.sql.query("VACUUM ANALYZE l2s.result")
        let connection = try await queue.database.connect()
        // PostgreSQL counts separately what a transaction reads.
        try await connection.query("BEGIN")
        let seen = try await QueueWatch(connection).look()
        #expect((140...145).contains(seen.points.reduce(0) { $0 + $1.documents }))
        _ = try await QueueClient(connection).plans(jobType: "summarize", group: nil, by: nil)
        let scanned: Int = try await connection.query(
            """
            SELECT sum(seq_tup_read)::bigint FROM pg_stat_xact_user_tables
            WHERE schemaname = 'l2s' AND relname LIKE 'result%'
            """
        ).single()
        #expect(scanned == 0)
    }
}
