import Foundation
import Postgres
import TestSupport
import Testing

/// The commands that steer the queue and read results, on a real database; the test is the worker.
@Suite struct SteeringTests {
    private func l2s(
        _ arguments: String..., on database: TestDatabase
    ) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(
            arguments, environment: ["L2S_DATABASE_URL": database.connectionString])
    }

    private func migrated() async throws -> (TestDatabase, DatabaseConnection) {
        let database = try await TestDatabase(migrated: false)
        let ending = try await l2s("migrate", on: database)
        #expect(ending.status == 0, "\(ending.remarks)")
        return (database, try await database.connect())
    }

    @Test func aGroupIsCancelledWaitedForAndRunAgain() async throws {
        let (database, sql) = try await migrated()
        try await sql.query(
            """
            SELECT l2s.enqueue('summarize', 'text ' || i, "group" => 'g')
            FROM generate_series(1, 1200) AS i
            """)
        let one = try await l2s("cancel", "1", on: database)
        #expect(one.status == 0 && one.output == "cancelled 1 document\n", "\(one.remarks)")
        let again = try await l2s("cancel", "1", "9999", on: database)
        #expect(again.status == 1)
        #expect(again.remarks.contains("2 of them are finished, cancelled or unknown"))
        let all = try await l2s("cancel", "--group", "g", on: database)
        #expect(all.output == "cancelled 1,199 documents\n", "\(all.remarks)")
        let waited = try await l2s("wait", "--group", "g", on: database)
        #expect(waited.status == 1)
        #expect(waited.output == "g: 1,200 documents, 1,200 cancelled\n")
        let none = try await l2s("retry", "--job-type", "none", on: database)
        #expect(none.status == 2 && none.remarks.contains("no job type is called none"))
        let retried = try await l2s("retry", "1", "2", on: database)
        #expect(retried.output == "enqueued 2 documents again\n", "\(retried.remarks)")
        let plan = try await l2s("plan", "--group", "g", on: database)
        #expect(plan.output.contains("2 documents wait or run"), "\(plan.remarks)")
        let unknown = try await l2s("wait", "--group", "none", on: database)
        #expect(unknown.status == 2)
        #expect(unknown.remarks.contains("l2s.groups lists the groups"))
    }

    @Test func resultsAreFollowedToTheEndOfAGroup() async throws {
        let (database, sql) = try await migrated()
        try await sql.query("INSERT INTO l2s.worker (host, pid, version) VALUES ('test', 1, '0')")
        try await sql.query(
            """
            SELECT l2s.enqueue('summarize', 'text ' || i, "group" => 'g')
            FROM generate_series(1, 4) AS i
            """)
        let follower = try BuiltProgram("l2s").start(
            ["results", "--group", "g", "--follow"],
            environment: ["L2S_DATABASE_URL": database.connectionString])
        for _ in 1...4 {
            try await sql.query(
                """
                SELECT l2s.complete(1, c.lease_id, ARRAY(
                    SELECT json_populate_record(NULL::l2s.completion, json_build_object(
                        'id', c.document_id, 'outcome', 'succeeded',
                        'output', 'out ' || c.document_id))))
                FROM l2s.claim(1, 'llm', '{summarize}', 1, 1000, '30 s') AS c
                """)
        }
        let ending = try await follower.ending()
        #expect(ending.status == 0, "\(ending.remarks)")
        let lines = ending.output.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(lines.first?.contains("\"output\":\"out 1\"") == true)
        let one = try await l2s("results", "3", on: database)
        #expect(one.output.contains("\"state\":\"succeeded\""))
    }

    /// The stream shows a result once all transactions that began before it are over.
    @Test func resultsThatAnOldTransactionHoldsBackAreNotLeftOutSilently() async throws {
        let (database, sql) = try await migrated()
        try await sql.query(#"SELECT l2s.enqueue('summarize', 'text', "group" => 'g')"#)
        let old = try await database.connect()
        try await old.query("BEGIN")
        try await old.query("SELECT pg_current_xact_id()")
        try await sql.query("SELECT l2s.cancel(1)")
        let early = try await l2s("results", "--group", "g", on: database)
        #expect(early.status == 1 && early.output.isEmpty)
        #expect(early.remarks.contains("--follow waits"), "\(early.remarks)")
        try await old.query("COMMIT")
        // Transactions of other tests on the same server may be older, too.
        let late = try await l2s("results", "--group", "g", "--follow", on: database)
        #expect(
            late.status == 0 && late.output.contains(#""state":"cancelled""#), "\(late.remarks)")
    }

    @Test func aPausedTypeIsShownAndResumed() async throws {
        let (database, _) = try await migrated()
        #expect(try await l2s("pause", "summarize", on: database).output == "paused summarize\n")
        #expect(try await l2s("status", on: database).output.contains("paused"))
        #expect(try await l2s("resume", "summarize", on: database).status == 0)
        #expect(try await !l2s("status", on: database).output.contains("paused"))
        #expect(try await l2s("pause", "--all", on: database).output == "paused the whole queue\n")
        #expect(try await l2s("status", on: database).output.contains("paused"))
        #expect(try await l2s("pause", "nonsense", on: database).status == 2)
        #expect(try await l2s("pause", on: database).status == 64)
    }
}
