import Foundation
import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// The roles of l2s.grant_roles. For each, a login tries what it may do and what it may not.
@Suite struct RoleTests {
    private let queue: QueueFixture

    init() async throws {
        queue = try await QueueFixture()
        #expect(try await QueueClient(queue.sql).grantRoles() == [])
    }

    /// A connection of a new login that is a member of `role`.
    private func login(_ role: String) async throws -> DatabaseConnection {
        let name = "\(role)_\(UUID().uuidString.prefix(8).lowercased())"
        try await queue.sql.query("CREATE ROLE \(name) LOGIN IN ROLE \(role)")
        let connection = DatabaseConnection(try queue.database.settings(user: name))
        try await connection.connect()
        return connection
    }

    private func expectRefused(
        _ connection: DatabaseConnection, _ statements: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        for statement in statements {
            let error = await #expect(throws: DatabaseError.self, sourceLocation: sourceLocation) {
                try await connection.query(statement)
            }
            #expect(
                error?.refusal?.sqlState == "42501", "\(statement): \(error.map { "\($0)" } ?? "")",
                sourceLocation: sourceLocation)
        }
    }

    private let writes = [
        "INSERT INTO l2s.result (document_id) VALUES (1)", "DELETE FROM l2s.document",
        "UPDATE l2s.queue SET rank = 0", "UPDATE l2s.job_type SET paused = true",
        "TRUNCATE l2s.result", "DROP TABLE l2s.queue", "CREATE TABLE l2s.mine (i integer)",
        "SELECT l2s.end_cancelled('{1}', 1, 1, now())", "SELECT l2s.grant_roles()",
        "SELECT l2s.drop_part(p, '1 day') FROM l2s.part p", "SELECT setval('l2s.document_id', 1)",
    ]

    @Test func aProducerEnqueuesAndReadsItsResultsOnly() async throws {
        let (mine, other) = (try await login("l2s_producer"), try await login("l2s_producer"))
        try await queue.sql.query("UPDATE l2s.setting SET producers_apart = true")
        try await mine.query("SELECT l2s.enqueue('summarize', 'mine')")
        try await other.query("SELECT l2s.enqueue('summarize', 'other')")
        let worker = try await queue.worker()
        try await worker.complete(try #require(try await worker.claim()))
        #expect(try await mine.query("SELECT id FROM l2s.jobs").map { try $0.value("id") } == [1])
        #expect(
            try await other.query("SELECT id FROM l2s.jobs WHERE state = 'succeeded'")
                .map { try $0.value("id") } == [2])
        // A function that a user puts into a condition never sees the rows of others.
        try await mine.query("CREATE TEMP TABLE seen (id bigint)")
        try await mine.script(
            """
            CREATE FUNCTION pg_temp.spy(id bigint, state text) RETURNS boolean LANGUAGE plpgsql
            COST 0.0001 AS 'BEGIN INSERT INTO seen VALUES (id); RETURN true; END';
            """, name: "a spy")
        try await mine.query("SELECT count(*) FROM l2s.jobs WHERE pg_temp.spy(id, state)")
        #expect(
            try await mine.query("SELECT DISTINCT id FROM seen").map { try $0.value("id") } == [1])
        try await eventually("its results are streamed") {
            try await mine.query("SELECT id FROM l2s.completed()").map { try $0.value("id") } == [1]
        }
        await expectRefused(
            mine,
            writes + [
                "SELECT * FROM l2s.document", "SELECT * FROM l2s.result", "SELECT l2s.cancel(2)",
                "SELECT l2s.pause()", "SELECT l2s.claim(1, 'large', '{summarize}', 1, 1, '30 s')",
                "SELECT * FROM l2s.setting", "SELECT l2s.retry(2)",
                "SELECT l2s.maintain(true)",
            ])
        try await queue.sql.query("UPDATE l2s.setting SET producers_apart = false")
        #expect(try await mine.query("SELECT id FROM l2s.jobs").count == 2)
    }

    @Test func aWorkerWorksAndDoesNothingElse() async throws {
        let connection = try await login("l2s_worker")
        try await queue.enqueue(3)
        let worker = try await FixtureWorker(connection.settings)
        let claim = try #require(try await worker.claim(2))
        #expect(
            try await worker.store.renew(worker.id, leases: [claim.lease], draining: false).owned
                == [claim.lease])
        #expect(try await worker.complete(claim).recorded.count == 2)
        let last = try #require(try await worker.claim())
        #expect(
            try await worker.store.release(worker.id, last.lease, last.documents.map(\.id)) == 1)
        #expect(
            try await worker.store.waitForWork(
                worker.id, jobTypes: ["summarize"], timeout: .milliseconds(10)))
        _ = try await worker.store.rescueExpired()
        _ = try await worker.store.promoteDelayed()
        _ = try await worker.store.finishGroups(atOnce: false)
        #expect(try await worker.store.maintain().done.contains("made document_1"))
        #expect(try await worker.store.unfinished(["summarize"]).due == 1)
        _ = try await QueueWatch(connection).look()
        try await worker.store.retire(worker.id)
        await expectRefused(
            connection,
            writes + [
                "SELECT * FROM l2s.document", "SELECT * FROM l2s.jobs", "SELECT l2s.cancel(1)",
                "SELECT l2s.pause()", "SELECT l2s.enqueue('summarize', 'text')",
                "UPDATE l2s.lease SET worker_id = 1", "SELECT output FROM l2s.result",
                "SELECT id FROM l2s.lease", "SELECT lease_id FROM l2s.queue",
            ])
    }

    @Test func aReaderReadsAndAnAdministratorSteers() async throws {
        let (reader, admin) = (try await login("l2s_reader"), try await login("l2s_admin"))
        try await queue.sql.query("UPDATE l2s.setting SET producers_apart = true")
        try await queue.enqueue(2)
        for view in ["jobs", "throughput", "attempts", "batches", "groups", "completed()"] {
            _ = try await reader.query("SELECT * FROM l2s.\(view)")
        }
        #expect(try await reader.query("SELECT id FROM l2s.jobs").count == 2)
        for user in [reader, admin] { _ = try await QueueWatch(user).look() }
        await expectRefused(
            reader,
            writes + [
                "SELECT l2s.enqueue('summarize', 'text')", "SELECT l2s.cancel(1)",
                "SELECT l2s.pause()", "UPDATE l2s.setting SET keep = '0'",
            ])
        try await admin.query("SELECT l2s.cancel(1), l2s.pause('summarize'), l2s.resume()")
        try await admin.query("SELECT l2s.retry(1), l2s.cancel_group('none')")
        try await admin.query("UPDATE l2s.setting SET keep = '30 days'")
        _ = try await admin.query("SELECT * FROM l2s.maintain(true)")
        await expectRefused(admin, writes.filter { !$0.contains("setting") })
    }

    /// A caller may define functions that hide built-in ones. They must not run with the owner's
    /// rights.
    @Test func nothingOfACallersSchemaRunsInside() async throws {
        let mine = try await login("l2s_producer")
        try await queue.sql.script(
            "CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC;", name: "evil")
        try await mine.script(
            """
            CREATE TABLE evil.caught (who text);
            GRANT ALL ON evil.caught TO PUBLIC;
            CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
                'BEGIN INSERT INTO evil.caught VALUES (current_user); RETURN pg_catalog.now(); END';
            CREATE FUNCTION evil.octet_length(text) RETURNS integer LANGUAGE plpgsql AS
                'BEGIN INSERT INTO evil.caught VALUES (current_user); RETURN 1; END';
            CREATE FUNCTION evil.hashtext(text) RETURNS integer LANGUAGE plpgsql AS
                'BEGIN INSERT INTO evil.caught VALUES (current_user); RETURN 1; END';
            CREATE TEMP TABLE job_type (id integer);
            SET search_path = evil, pg_temp, pg_catalog;
            """, name: "the tricks")
        try await mine.query(
            "SELECT l2s.enqueue('summarize', 'text', tenant => 'a', \"group\" => 'g')")
        try await mine.query("SELECT count(*) FROM l2s.completed()")
        #expect(try await queue.count("evil.caught") == 0)
        let loose = try await queue.sql.query(
            """
            SELECT p.oid::regprocedure::text AS name FROM pg_proc p
            WHERE p.pronamespace = 'l2s'::regnamespace AND p.prosecdef
              AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)
            """)
        #expect(try loose.map { try $0.value("name", as: String.self) } == [])
        #expect(
            try await queue.count(
                """
                pg_proc p, aclexplode(p.proacl) a
                WHERE p.pronamespace = 'l2s'::regnamespace AND a.grantee = 0
                """) == 0)
    }
}
