import Jobs
import Migrations
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct RetentionTests {
    @Test func finishedPartsGoAndUnfinishedDocumentsStay() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let client = QueueClient(queue.sql)
        try await queue.sql.query("UPDATE l2s.setting SET part_every = '0', keep = '0'")
        let old = try await queue.enqueue(3)
        #expect(
            try await client.maintain() == [
                "made document_1", "made document_2", "began document_1",
            ])
        let new = try await queue.enqueue(2)
        #expect(try #require(new.first) > 100_000_000)
        let claim = try #require(try await worker.claim())
        #expect(claim.documents.map(\.id) == old + new)
        _ = try await worker.store.complete(claim.lease, old.dropLast().map { .fixture($0, .done) })
        #expect(
            try await client.maintain() == [
                "made document_3", "began document_2",
                "kept document_0: 1 documents in it are not finished",
            ])
        _ = try await worker.store.complete(
            claim.lease, (old.suffix(1) + new).map { .fixture($0, .done) })
        // What is over for less than the time to keep stays.
        try await queue.sql.query("UPDATE l2s.setting SET keep = '1 hour'")
        let early = try await client.maintain()
        #expect(!early.contains { $0.hasPrefix("dropped") }, "\(early)")
        #expect(try await queue.count("l2s.jobs") == 5)
        try await queue.sql.query("UPDATE l2s.setting SET keep = '0'")
        let lines = try await client.maintain()
        #expect(lines.contains { $0.hasPrefix("dropped document_0") }, "\(lines)")
        _ = try await client.maintain()
        #expect(try await queue.count("l2s.jobs") == 0)
        #expect(try await queue.count("pg_class WHERE relname = 'result_1'") == 0)
        // And the queue goes on.
        try await queue.enqueue(1)
        try await worker.complete(try #require(try await worker.claim()))
        #expect(try await queue.count("l2s.jobs WHERE state = 'succeeded'") == 1)
    }

    @Test func oneWorkerDoesItForAll() async throws {
        let queue = try await QueueFixture()
        let (first, second) = (try await queue.worker(), try await queue.worker())
        #expect(try await first.store.maintain() == ["made document_1", "made document_2"])
        try await queue.sql.query("UPDATE l2s.setting SET part_every = '0'")
        try await queue.enqueue(1)
        #expect(try await second.store.maintain() == [])
        try await queue.letTheLastLookBeLongAgo()
        #expect(try await second.store.maintain() == ["began document_1"])
    }

    @Test func minutesThatAreOverAreCountedOnce() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(10)
        for _ in 0..<2 { try await worker.complete(try #require(try await worker.claim(5))) }
        func rows() async throws -> [String] {
            try await queue.sql.query("SELECT row_to_json(t)::text AS row FROM l2s.throughput t")
                .map { try $0.value("row") }
        }
        try await queue.sql.query(
            """
            UPDATE l2s.result SET finished_at = finished_at - interval '1 hour',
                claimed_at = claimed_at - interval '1 hour'
            """)
        let live = try await rows()
        #expect(live.count == 1 && live[0].contains("\"documents\":10"))
        #expect(
            try await QueueClient(queue.sql).maintain().first
                == "counted the throughput of minutes that are over")
        #expect(try await queue.count("l2s.minute") == 1)
        #expect(try await rows() == live)
        try await queue.sql.query("TRUNCATE l2s.result")
        #expect(try await rows() == live)
    }

    /// A worker of schema version 6 goes on under all that comes after it, and no row is lost.
    @Test func oldTablesAreConvertedUnderAnOldWorker() async throws {
        let database = try await TestDatabase(migrated: false)
        let sql = try await database.connect()
        _ = try await SchemaMigrator(Array(Migration.all.prefix(6))).migrate(sql)
        try await sql.query(
            """
            SELECT l2s.sync_job_types('[{"name": "summarize", "reader": "large", "mode": "llm",
                "llm": "large", "document_bytes": 20000, "maximum_attempts": 2, "backoff": 0,
                "maximum_backoff": 1}]')
            """)
        try await sql.query("INSERT INTO l2s.worker (host, pid, version) VALUES ('old', 1, '0')")
        try await sql.query(
            "SELECT l2s.enqueue('summarize', 'text ' || i) FROM generate_series(1, 20) AS i")
        let finish = """
            SELECT f.document_id, f.verdict FROM l2s.lease l, l2s.finish(l.id, (
                SELECT json_agg(json_build_object(
                    'id', q.document_id, 'outcome', $1::text, 'output', 'o', 'reason', NULL))
                FROM (SELECT * FROM l2s.queue WHERE lease_id = l.id ORDER BY 1 LIMIT 5) AS q)) AS f
            """
        let claim = "SELECT * FROM l2s.claim(1, 'large', '{summarize}', $1, 100000, '30 s')"
        let old = try await database.connect()
        #expect(try await old.query(claim, [.int(10)]).count == 10)
        #expect(try await old.query(finish, [.text("succeeded")]).count == 5)

        #expect(try await SchemaMigrator().migrate(sql).count == Migration.all.count - 6)
        let verdicts = try await old.query(finish, [.text("succeeded")])
            .map { try $0.value("verdict", as: String.self) }
        #expect(verdicts == Array(repeating: "recorded", count: 5))
        #expect(try await old.query(claim, [.int(5)]).count == 5)
        #expect(
            try await old.query("SELECT l2s.renew(1, ARRAY(SELECT id FROM l2s.lease), false)").count
                == 1)
        let states = try await sql.query(
            "SELECT state || ' ' || count(*) AS row FROM l2s.jobs GROUP BY state ORDER BY 1")
        #expect(
            try states.map { try $0.value("row", as: String.self) } == [
                "running 5", "succeeded 10", "waiting 5",
            ])
        try await eventually("results of before and after are streamed") {
            try await sql.query("SELECT count(*) FROM l2s.completed()").single() == 10
        }
    }
}
