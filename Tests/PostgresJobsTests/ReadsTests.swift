import Foundation
import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// What a call reads must not grow with what the tables hold. The tests fill the tables first and
/// count rows and index entries.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ReadsTests {
    private static let queue = Filling()
    /// The number of keys. `make test-faults` uses ten million, which take minutes to write.
    private static let keys =
        ProcessInfo.processInfo.environment["L2S_PLAN_KEYS"].flatMap { Int($0) } ?? 200_000

    /// The queue, which is filled once for all tests.
    private actor Filling {
        private var fixture: QueueFixture?

        func filled() async throws -> QueueFixture {
            if let fixture { return fixture }
            let queue = try await QueueFixture()
            try await queue.enqueue(1)
            try await queue.sql.query("SELECT l2s.claim(1, 'large', '{summarize}', 1, 1000, '1 s')")
            try await queue.sql.query("DELETE FROM l2s.queue")
            try await queue.sql.script(
                """
                INSERT INTO l2s.group_run (name, producer, finished_at)
                SELECT 'group ' || i, current_user, CASE WHEN i % 10 > 0 THEN now() END
                FROM generate_series(1, 50000) AS i;
                INSERT INTO l2s.queue (
                    document_id, run_at, job_type, tokens, tenant, rank, length_class, state, turn,
                    group_id)
                SELECT 1000 + i, now() + i * interval '1 minute', t.id, 10, i, 0, i % 6, i % 2 * 2, i, i
                FROM generate_series(1, 100000) AS i, l2s.job_type t WHERE t.name = 'summarize';
                INSERT INTO l2s.dedupe (job_type, producer, key, document_id)
                SELECT t.id, '', 'key ' || i, i
                FROM generate_series(1, \(ReadsTests.keys)) AS i, l2s.job_type t
                WHERE t.name = 'summarize';
                INSERT INTO l2s.result (
                    document_id, job_type, succeeded, cancelled, attempt, finished_at, output, error)
                SELECT i, t.id, i % 100 > 0, false, 1, now() - interval '1 hour',
                    CASE WHEN i % 100 > 0 THEN 'x' END, CASE WHEN i % 100 = 0 THEN 'x' END
                FROM generate_series(200000, 300000) AS i, l2s.job_type t WHERE t.name = 'summarize';
                INSERT INTO l2s.document (id, job_type, priority, run_at, enqueued_at, body, producer)
                SELECT i, t.id, 0, now(), now(), 'x', current_user
                FROM generate_series(200000, 300000) AS i, l2s.job_type t WHERE t.name = 'summarize';
                SELECT setval('l2s.document_id', 400000);
                """, name: "a queue of long standing")
            fixture = queue
            return queue
        }
    }

    /// No plan may depend on the statistics that the server happens to have. So plans are made
    /// without any, after a vacuum that counted rows but not their values, and with all statistics.
    @Test(arguments: [nil, "VACUUM l2s.queue", "ANALYZE"])
    func aCallReadsLittle(statistics: String?) async throws {
        let queue = try await Self.queue.filled()
        if let statistics { try await queue.sql.query(statistics) }
        for (name, call) in Self.calls {
            try await queue.sql.query("BEGIN")
            let read = try await Self.read(call, queue.sql)
            try await queue.sql.query("ROLLBACK")
            #expect(read < 400, "\(name) read \(read) rows and index entries")
        }
    }

    private static let calls = [
        ("enqueue", "SELECT l2s.enqueue('summarize', 'text')"),
        (
            "enqueue into an open group",
            "SELECT l2s.enqueue('summarize', 'x', \"group\" => 'group 49990')"
        ),
        (
            "enqueue into a finished group",
            "SELECT l2s.enqueue('summarize', 'x', \"group\" => 'group 7')"
        ),
        ("enqueue into a new group", "SELECT l2s.enqueue('summarize', 'x', \"group\" => 'new')"),
        (
            "enqueue with a known key",
            "SELECT l2s.enqueue('summarize', 'x', dedupe_key => 'key 150000')"
        ),
        ("enqueue with a new key", "SELECT l2s.enqueue('summarize', 'x', dedupe_key => 'new')"),
        ("enqueue for a tenant", "SELECT l2s.enqueue('summarize', 'x', tenant => 'somebody')"),
        ("cancel", "SELECT l2s.cancel(1002, 1003)"),
        ("cancel a group", "SELECT l2s.cancel_group('group 20')"),
        ("retry", "SELECT l2s.retry(200100, 200200)"),
        ("pause", "SELECT l2s.pause('summarize')"),
        ("claim", "SELECT l2s.claim(1, 'large', '{summarize}', 4, 1000, '30 s')"),
        ("rescue", "SELECT l2s.rescue()"),
        ("promote", "SELECT l2s.promote(4)"),
        ("keys to forget", "SELECT l2s.forget_keys(p, 100) FROM l2s.part p WHERE number = 0"),
        ("one group", "SELECT * FROM l2s.groups WHERE name = 'group 20'"),
    ]

    private static func read(_ call: String, _ sql: DatabaseConnection) async throws -> Int {
        func total() async throws -> Int {
            try await sql.query(
                """
                SELECT sum(pg_stat_get_xact_tuples_returned(c.oid)
                    + CASE WHEN c.relkind = 'r' THEN pg_stat_get_xact_tuples_fetched(c.oid)
                           ELSE 0 END)::bigint
                FROM pg_class c
                WHERE c.relnamespace = 'l2s'::regnamespace AND c.relkind IN ('r', 'i')
                """
            ).single()
        }
        let before = try await total()
        try await sql.query(call)
        return try await total() - before
    }
}
