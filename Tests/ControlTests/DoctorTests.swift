import Foundation
import Postgres
import TestSupport
import Testing

/// The doctor finds each fault that a test makes in a database.
@Suite(.timeLimit(.minutes(15))) struct DoctorTests {
    private struct Finding: Decodable, Equatable {
        let verdict: String
        let check: String
        let words: String
    }

    private func finding(
        _ check: String, _ more: String..., on url: String, by program: BuiltProgram? = nil,
        _ prefix: [String] = []
    ) async throws -> Finding {
        let arguments = ["doctor", "--json", "--database-url", url] + more
        let ending = try await (program ?? BuiltProgram("l2s")).run(prefix + arguments)
        let findings = try JSONDecoder().decode([Finding].self, from: Data(ending.output.utf8))
        let failures = findings.count { $0.verdict == "failed" }
        #expect(ending.status == (failures == 0 ? 0 : 1), "\(ending.remarks)")
        return try #require(findings.first { $0.check == check }, "\(findings)")
    }

    @Test func oneMissingModelIsToldOnce() async throws {
        let home = try ScratchFolder()
        for name in ["one", "two"] {
            try home.write(
                "\(name).yaml",
                "name: \(name)\nmode: llm\nllm: nowhere\nprompt: \"{document}\"\n".utf8)
        }
        let database = try await TestDatabase()
        let found = try await finding(
            "models", "--jobs", home.path, "--models", home.path, on: database.connectionString)
        #expect(found.verdict == "failed")
        #expect(found.words.hasPrefix("job types one, two: \(home.path)/nowhere: cannot open"))
        #expect(found.words.components(separatedBy: "no such folder").count == 2, "\(found.words)")
    }

    private func migrated(_ database: TestDatabase) async throws -> DatabaseConnection {
        let ending = try await BuiltProgram("l2s").run(
            ["migrate", "--database-url", database.connectionString])
        #expect(ending.status == 0, "\(ending.remarks)")
        return try await database.connect()
    }

    @Test func pausesMaintenanceAndOldTransactions() async throws {
        let database = try await TestDatabase(migrated: false)
        let sql = try await migrated(database)
        let url = database.connectionString
        #expect(try await finding("pauses", on: url).verdict == "ok")
        try await sql.query("SELECT l2s.pause('summarize')")
        let paused = try await finding("pauses", on: url)
        #expect(paused.verdict == "noted" && paused.words.hasPrefix("summarize: l2s resume"))
        try await sql.query("UPDATE l2s.job_type SET paused_because = 'it crashed' WHERE paused")
        let own = try await finding("pauses", on: url)
        #expect(own.verdict == "failed")
        #expect(own.words == "paused themselves: summarize: it crashed")

        #expect(try await finding("maintenance", on: url).words == "nothing to maintain yet")
        try await sql.query("SELECT l2s.enqueue('summarize', 'text')")
        try await sql.query("UPDATE l2s.chore SET at = now() - interval '3 hours'")
        let alone = try await finding("maintenance", on: url)
        #expect(alone.verdict == "noted" && alone.words.contains("last maintained 3 hours ago"))
        try await sql.query("INSERT INTO l2s.worker (host, pid, version) VALUES ('a', 1, '0')")
        #expect(try await finding("maintenance", on: url).verdict == "failed")
        try await sql.query("SELECT l2s.maintain(true)")
        #expect(try await finding("maintenance", on: url).verdict == "ok")

        #expect(try await finding("old transactions", on: url).verdict == "ok")
        try await sql.query("BEGIN")
        try await sql.query("SELECT l2s.enqueue('summarize', 'text')")
        let old = try await finding("old transactions", "--old-transaction", "0", on: url)
        let process: Int = try await sql.query("SELECT pg_backend_pid()").single()
        #expect(old.verdict == "failed" && old.words.contains("process \(process) (l2s tests"))
    }

    @Test func aQueueOfNotificationsThatFillsUp() async throws {
        let database = try await TestDatabase(migrated: false)
        let sql = try await migrated(database)
        let url = database.connectionString
        let well = try await finding("notification queue", on: url)
        #expect(well.verdict == "ok" && well.words == "0 % full")
        // Filling the real queue takes gigabytes, so this database gets a function that says it is.
        try await sql.query("SET allow_system_table_mods = on")
        try await sql.query(
            """
            CREATE OR REPLACE FUNCTION pg_catalog.pg_notification_queue_usage()
            RETURNS double precision LANGUAGE sql AS 'SELECT 0.3::double precision'
            """)
        let filling = try await finding("notification queue", on: url)
        #expect(filling.verdict == "noted" && filling.words.hasPrefix("30 % full: a session"))
    }

    @Test func missingRoles() async throws {
        let database = try await TestDatabase(migrated: false)
        let schema = "q\(UUID().uuidString.prefix(8).lowercased())"
        let url = database.connectionString
        let made = try await BuiltProgram("l2s").run(
            ["migrate", "--database-url", url, "--schema", schema])
        #expect(made.status == 0, "\(made.remarks)")
        #expect(try await finding("roles", "--schema", schema, on: url).verdict == "ok")
        try await database.connect().script(
            "DROP OWNED BY \(schema)_reader; DROP ROLE \(schema)_reader", name: "the loss of a role"
        )
        let missing = try await finding("roles", "--schema", schema, on: url)
        #expect(missing.verdict == "noted")
        #expect(missing.words.hasPrefix("there is no \(schema)_reader: run l2s migrate"))
    }

    @Test func connectionsThatAreNearlyAllTaken() async throws {
        let database = try await TestDatabase.onOwnServer(settings: ["max_connections": "15"])
        let url = database.connectionString
        #expect(try await finding("connections", on: url).verdict == "ok")
        var held: [DatabaseConnection] = []
        for _ in 0..<9 { held.append(try await database.connect()) }
        let near = try await finding("connections", on: url)
        #expect(near.verdict == "noted", "\(near)")
        #expect(near.words.contains("of 12 taken: a worker takes four"))
        for connection in held { await connection.close() }
        try database.removeServer()
    }

    @Test func aClockTenMinutesAhead() async throws {
        guard let faketime = BuiltProgram(installed: "faketime") else { return }
        let database = try await TestDatabase()
        let finding = try await finding(
            "clocks", on: database.connectionString, by: faketime,
            ["-f", "+10m", try BuiltProgram("l2s").path])
        #expect(finding.verdict == "noted")
        #expect(finding.words.hasPrefix("this machine's is 10 minutes ahead of the database's"))
    }

    @Test func aPoolerAndTheWayPastIt() async throws {
        let (database, other) = (try await TestDatabase(), try await TestDatabase())
        let url = database.connectionString
        #expect(try await finding("notifications", on: url).words == "the connection is direct")
        guard let pooler = try Pooler(before: database) else { return }
        try await pooler.ready()
        let through = pooler.connectionString
        let alone = try await finding("notifications", on: through)
        let past = try await finding("notifications", "--listen-url", url, on: through)
        let pooled = try await finding("notifications", "--listen-url", through, on: through)
        let wrong = try await finding(
            "notifications", "--listen-url", other.connectionString, on: through)
        try await pooler.stop()
        #expect(alone.verdict == "noted" && alone.words.contains("names a direct way"))
        #expect(past.verdict == "ok" && past.words.hasPrefix("arrive by"))
        #expect(pooled.verdict == "failed" && pooled.words.contains("leads through a pooler, too"))
        #expect(wrong.verdict == "failed" && wrong.words.contains("leads to another database"))
    }

    @Test func aSchemaOfAnotherVersion() async throws {
        let database = try await TestDatabase()
        let url = database.connectionString
        let sql = try await database.connect()
        try await sql.query("DELETE FROM l2s.migration WHERE version > 7")
        let behind = try await finding("schema", on: url)
        #expect(behind.verdict == "failed" && behind.words.contains("run l2s migrate"))
        try await sql.query(
            "INSERT INTO l2s.migration (version, name, checksum) VALUES (99, '0099_new', 'x')")
        let ahead = try await finding("schema", on: url)
        #expect(ahead.verdict == "failed" && ahead.words.contains("use a newer l2s"))
    }
}
