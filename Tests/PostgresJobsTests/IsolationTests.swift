import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct IsolationTests {
    @Test(arguments: ["REPEATABLE READ", "SERIALIZABLE"])
    func whatTakesTurnsRefusesASnapshotOfBefore(level: String) async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        for call in [
            "SELECT * FROM l2s.claim(\(worker.id.value), 'large', '{summarize}', 1, 1, '30 s')",
            "SELECT l2s.complete(1, '{}')", "SELECT l2s.release(1, '{1}')",
            "SELECT l2s.rescue()", "SELECT l2s.promote()", "SELECT l2s.finish_groups()",
            "SELECT l2s.settle_groups()", "SELECT l2s.maintain(true)",
        ] {
            try await queue.sql.query("BEGIN ISOLATION LEVEL \(level)")
            let error = await #expect(throws: DatabaseError.self) {
                try await queue.sql.query(call)
            }
            #expect(
                error?.refusal?.message
                    == "expected isolation level read committed, got \(level.lowercased())",
                "\(call)")
            try await queue.sql.query("ROLLBACK")
        }
    }

    /// A publication of all tables, as change capture makes it, refuses to delete from a table without.
    @Test func everyTableHasAReplicaIdentity() async throws {
        let queue = try await QueueFixture()
        let without = try await queue.sql.query(
            """
            SELECT c.relname FROM pg_class c
            WHERE c.relnamespace = 'l2s'::regnamespace AND c.relkind IN ('r', 'p')
              AND c.relreplident <> 'f' AND NOT EXISTS (
                  SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
            """
        ).map { try $0.value("relname", as: String.self) }
        #expect(without == [])
        try await queue.sql.query("CREATE PUBLICATION everything FOR ALL TABLES")
        try await queue.sql.query("SELECT l2s.maintain(true)")
    }
}
