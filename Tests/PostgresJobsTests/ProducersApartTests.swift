import Foundation
import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Roles that enqueue and are kept apart: none sees the rows of another or feels its effects.
@Suite struct ProducersApartTests {
    private let queue: QueueFixture

    init() async throws {
        queue = try await QueueFixture()
        #expect(try await QueueClient(queue.sql).grantRoles() == [])
        try await queue.sql.query("UPDATE l2s.setting SET producers_apart = true")
    }

    private func login(_ role: String) async throws -> DatabaseConnection {
        let name = "\(role)_\(UUID().uuidString.prefix(8).lowercased())"
        try await queue.sql.query("CREATE ROLE \(name) LOGIN IN ROLE \(role)")
        let connection = DatabaseConnection(try queue.database.settings(user: name))
        try await connection.connect()
        return connection
    }

    private func enqueue(
        _ connection: DatabaseConnection, group: String? = nil, key: String? = nil,
        runAt: String = "now"
    ) async throws -> Int64 {
        try await connection.query(
            """
            SELECT l2s.enqueue(
                'summarize', 'text', "group" => $1, dedupe_key => $2, run_at => $3::timestamptz)
            """, [.text(group), .text(key), .text(runAt)]
        ).single()
    }

    @Test func keysOfOneHideNoDocumentOfAnother() async throws {
        let (one, other) = (try await login("l2s_producer"), try await login("l2s_producer"))
        let first = try await enqueue(one, key: "article-7")
        #expect(try await enqueue(one, key: "article-7") == first)
        let second = try await enqueue(other, key: "article-7")
        #expect(second != first)
        #expect(
            try await other.query("SELECT id FROM l2s.jobs").map { try $0.value("id") } == [second])
    }

    @Test func aGroupOfOneIsFinishedWhateverAnotherAddsToItsName() async throws {
        let (one, other) = (try await login("l2s_producer"), try await login("l2s_producer"))
        _ = try await enqueue(one, group: "g")
        _ = try await enqueue(other, group: "g", runAt: "2999-01-01")
        let worker = try await queue.worker()
        try await worker.complete(try #require(try await worker.claim()))
        #expect(try await worker.store.finishGroups(atOnce: true) == 1)
        for (login, documents, isFinished) in [(one, 1, true), (other, 1, false)] {
            let rows = try await login.query(
                "SELECT documents, finished_at IS NOT NULL AS finished FROM l2s.groups")
            #expect(rows.count == 1)
            #expect(try rows.first?.value("documents") == documents)
            #expect(try rows.first?.value("finished") == isFinished)
        }
        #expect(try await one.query("SELECT * FROM l2s.open_groups()").count == 0)
        let open = try await other.query("SELECT * FROM l2s.open_groups()")
        #expect(open.count == 1)
        // The other's document, which is finished, is not among them.
        #expect(try open.first?.value("succeeded") == 0)
        #expect(try open.first?.value("lately") == 0)
    }

    @Test func anAdministratorReadsTheStream() async throws {
        let admin = try await login("l2s_admin")
        let worker = try await queue.worker()
        try await queue.enqueue(2)
        try await worker.complete(try #require(try await worker.claim()))
        try await eventually("both are shown") {
            try await admin.query("SELECT * FROM l2s.completed()").count == 2
        }
    }

    @Test func aLoginWithoutRightsHoldsNoJobTypeUp() async throws {
        let stranger = try await login("l2s_producer")
        try await queue.sql.query("UPDATE l2s.job_type SET concurrent_documents = 5")
        try await queue.enqueue(1)
        try await stranger.query(
            """
            SELECT pg_advisory_lock(hashoid(c.oid), i)
            FROM pg_class c, generate_series(1, 9) AS i WHERE c.relname = 'job_type'
            """)
        let worker = try await queue.worker()
        #expect(try await worker.claim()?.documents.count == 1)

        // It does not hold up siblings either, whose claims take a lock for their text.
        try await stranger.query(
            """
            SELECT pg_advisory_lock(hashoid(c.oid), hashint8(i)), pg_advisory_lock(hashint8(i))
            FROM pg_class c, generate_series(1, 9) AS i WHERE c.relname = 'queue'
            """)
        try await queue.sql.query("SELECT l2s.enqueue(ARRAY['summarize', 'translate'], 'text')")
        #expect(try await worker.claim()?.documents.count == 2)
        await #expect(throws: DatabaseError.self) {
            try await stranger.query("SELECT * FROM l2s.salt")
        }
    }

    @Test func whatAWorkerTellsIsCheckedBeforeOthersShowIt() async throws {
        let login = try await login("l2s_worker")
        let worker = try await queue.worker()
        for load in [
            #"{"lanes": "x"}"#, "[1]", "{\"a\": \"\(String(repeating: "x", count: 5000))\"}",
        ] {
            await #expect(throws: DatabaseError.self, "\(load.prefix(20))") {
                try await login.query(
                    "SELECT l2s.tell_load($1, $2)", [.int(worker.id.value), .text(load)])
            }
        }
        let host = String(repeating: "h", count: 100_000)
        try await login.query("SELECT l2s.register($1, 1, '0')", [.text(host)])
        #expect(try await queue.count("l2s.worker WHERE length(host) > 255") == 0)
        await #expect(throws: DatabaseError.self) {
            try await login.query(
                """
                SELECT l2s.sync_job_types('[{"name": "<script>", "encoder": "e", "mode": "llm",
                    "document_bytes": 1, "maximum_attempts": 1, "backoff": 0, "maximum_backoff": 0}]')
                """)
        }
    }

    @Test(arguments: [
        ("metadata => jsonb_build_object('traceparent', repeat('x', 9000))", "at most 8192 bytes"),
        ("run_at => 'infinity'", "a finite time"), ("run_at => '-infinity'", "a finite time"),
    ])
    func anArgumentThatWouldDoHarmIsRefused(argument: String, words: String) async throws {
        let error = await #expect(throws: DatabaseError.self) {
            try await queue.sql.query("SELECT l2s.enqueue('summarize', 'x', \(argument))")
        }
        #expect(error?.refusal?.message.contains(words) == true)
    }
}
