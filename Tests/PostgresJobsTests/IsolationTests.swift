import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// The queue works under settings of servers, databases and roles that are not PostgreSQL's
/// defaults.
@Suite struct IsolationTests {
    private static let hostile = [
        "search_path = ''", "DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'",
        "TimeZone = 'Asia/Kathmandu'", "extra_float_digits = -15", "bytea_output = 'escape'",
        "standard_conforming_strings = off", "array_nulls = off", "lock_timeout = '50ms'",
        "statement_timeout = '1min'", "row_security = off", "transform_null_equals = on",
        "plpgsql.variable_conflict = 'use_variable'", "plpgsql.extra_errors = 'all'",
        "default_transaction_isolation = 'serializable'",
        "idle_in_transaction_session_timeout = '1min'",
    ]

    @Test func aQueueWorksUnderHostileSettings() async throws {
        let database = try await TestDatabase(migrated: false)
        let admin = try await database.connect()
        for setting in Self.hostile {
            try await admin.query("ALTER DATABASE \(database.name) SET \(setting)")
        }
        _ = try await SchemaMigrator().migrate(try await database.connect())
        let queue = try await QueueFixture(database)
        #expect(
            try await queue.sql.query("SHOW transaction_isolation").single() == "read committed")
        #expect(try await queue.sql.query("SHOW statement_timeout").single() != "1min")
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(4)
        let claim = try #require(try await worker.claim())
        #expect(claim.documents.map(\.id) == ids)
        _ = try await worker.store.renew(worker.id, leases: [claim.lease], draining: false)
        let receipt = try await worker.store.complete(
            worker.id, claim.lease,
            ids.map { .fixture($0, $0 == ids[0] ? .failed(reason: "f") : .done) })
        #expect(receipt.recorded.count == 3 && receipt.retried == [ids[0]])
        #expect(try await worker.store.promoteDelayed() == 1)
        _ = try await QueueWatch(queue.sql).look()
        _ = try await QueueClient(queue.sql).maintain()
        try await queue.sql.query("SELECT l2s.tally_results()")
        let error = await #expect(throws: DatabaseError.self) {
            try await queue.sql.query(#"SELECT l2s.enqueue('summarize', E' \n\t ')"#)
        }
        #expect(error?.refusal?.message.contains("empty document") == true)
    }

    @Test(arguments: ["REPEATABLE READ", "SERIALIZABLE"])
    func whatTakesTurnsRefusesASnapshotOfBefore(level: String) async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        for call in [
            "SELECT * FROM l2s.claim(\(worker.id.value), 'large', '{summarize}', 1, 1, '30 s')",
            "SELECT l2s.complete(1, 1, '{}')", "SELECT l2s.release(1, 1, '{1}')",
            "SELECT l2s.hear()", "SELECT l2s.rescue()", "SELECT l2s.promote()",
            "SELECT l2s.finish_groups()",
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

    @Test(arguments: ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
    func producersAndOperatorsMayHaveAnyLevel(level: String) async throws {
        let queue = try await QueueFixture()
        func within(_ statement: String) async throws {
            try await queue.sql.query("BEGIN ISOLATION LEVEL \(level)")
            try await queue.sql.query(statement)
            try await queue.sql.query("COMMIT")
        }
        try await within(
            #"""
            SELECT l2s.enqueue('summarize', 'x', dedupe_key => 'k', "group" => 'g', tenant => 't')
            """#)
        try await within("SELECT l2s.cancel(1), l2s.pause('summarize')")
        try await within("SELECT l2s.retry(1), l2s.resume('summarize')")
        try await within("SELECT * FROM l2s.completed()")
        #expect(try await queue.count("l2s.queue") == 1)
    }

    /// Then transactions that enqueue can be prepared even while a worker is idle.
    @Test func nothingIsNotifiedWhereThatIsSwitchedOff() async throws {
        let database = try await TestDatabase.onOwnServer(
            settings: ["max_prepared_transactions": "5"])
        let queue = try await QueueFixture(database)
        let worker = try await queue.worker()
        try await queue.sql.query("SELECT l2s.fall_idle($1)", [.int(worker.id.value)])
        func prepare() async throws {
            try await queue.sql.query("BEGIN")
            try await queue.sql.query("SELECT l2s.enqueue('summarize', 'x')")
            try await queue.sql.query("PREPARE TRANSACTION 't'")
        }
        await #expect(throws: DatabaseError.self) { try await prepare() }
        try await queue.sql.query("ROLLBACK")
        try await queue.sql.query("UPDATE l2s.setting SET notifies = false")
        try await prepare()
        try await queue.sql.query("COMMIT PREPARED 't'")
        #expect(try await worker.claim()?.documents.count == 1)
    }
}
