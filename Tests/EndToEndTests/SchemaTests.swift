import Foundation
import Postgres
import TestSupport
import Testing

/// Queues in schemas of other names, also two in one database.
@Suite(.timeLimit(.minutes(15))) struct SchemaTests {
    private func l2s(
        _ arguments: String..., on database: TestDatabase, schema: String? = nil
    ) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(
            arguments,
            environment: ["L2S_DATABASE_URL": database.connectionString]
                .merging(schema.map { ["L2S_SCHEMA": $0] } ?? [:]) { $1 })
    }

    private func worker(_ database: TestDatabase, _ schema: String) throws -> WorkerProgram {
        try WorkerProgram([
            "--database-url", database.connectionString, "--schema", schema, "--until-empty",
            "--threads", "1", "--http-address", "off",
        ])
    }

    @Test func twoQueuesInOneDatabaseDoNotTouchEachOther() async throws {
        let database = try await TestDatabase(migrated: false)
        let sql = try await database.connect()
        for schema in ["l2s", "nightly"] {
            let ending = try await l2s("migrate", on: database, schema: schema)
            #expect(ending.status == 0, "\(ending.remarks)")
            #expect(ending.output.contains("schema \(schema) is at version"))
        }
        for (schema, count) in [("l2s", 5), ("nightly", 7)] {
            try await sql.query(
                """
                SELECT \(schema).enqueue('summarize', 'text ' || i, "group" => 'g', notify => true)
                FROM generate_series(1, $1) AS i
                """, [.int(count)])
        }
        let listener = try await database.connect()
        for channel in ["l2s_done", "l2s_groups"] { try await listener.listen(to: channel) }
        let nightly = try worker(database, "nightly")
        #expect(await nightly.waitForExit().code == 0, "\(nightly.log)")
        #expect(try await listener.waitForNotification(timeout: .zero) == false)
        #expect(try await l2s("wait", "--group", "g", on: database, schema: "nightly").status == 0)
        func succeeded(_ schema: String) async throws -> Int {
            try await sql.query("SELECT count(*) FROM \(schema).jobs WHERE state = 'succeeded'")
                .single()
        }
        #expect(try await succeeded("nightly") == 7)
        #expect(try await succeeded("l2s") == 0)
        let standard = try worker(database, "l2s")
        #expect(await standard.waitForExit().code == 0, "\(standard.log)")
        #expect(try await succeeded("l2s") == 5)
        #expect(try await succeeded("nightly") == 7)
        #expect(try await sql.query("SELECT count(*) FROM nightly.worker").single() == 1)

        // Roles of the one have no rights in the other.
        for (role, granted) in [("nightly_producer", true), ("l2s_producer", false)] {
            #expect(
                try await sql.query(
                    "SELECT has_schema_privilege($1, 'nightly', 'USAGE')", [.text(role)]
                ).single() == granted)
        }
        try await sql.query("DROP SCHEMA nightly CASCADE")
        #expect(try await l2s("status", on: database).output.contains("summarize"))
    }

    @Test func aReservedWordIsANameLikeAnyOther() async throws {
        let database = try await TestDatabase(migrated: false)
        let sql = try await database.connect()
        let migrated = try await l2s("migrate", on: database, schema: "user")
        #expect(migrated.status == 0, "\(migrated.remarks)")
        #expect(try await sql.query("SELECT to_regnamespace('l2s') IS NULL").single() == true)
        #expect(
            try await sql.query(
                """
                SELECT string_agg(f.proname, ' ') FROM pg_proc f
                WHERE f.pronamespace = '"user"'::regnamespace AND f.prosrc ~ '\\ml2s[._]'
                """
            ).first?.optional("string_agg", as: String.self) == nil)
        try await sql.query(
            """
            SELECT "user".enqueue('summarize', 'text', dedupe_key => 'key', tenant => 'me',
                                  run_at => now() + i * interval '0.1 s')
            FROM generate_series(0, 3) AS i
            """)
        let worker = try worker(database, "user")
        #expect(await worker.waitForExit().code == 0, "\(worker.log)")
        for command in [
            ["maintain"], ["status"], ["doctor"], ["top", "--json"],
            ["plan", "--job", "summarize"],
            ["trace", "1"], ["results"], ["pause", "summarize"], ["resume", "summarize"],
        ] {
            let ending = try await BuiltProgram("l2s").run(
                command + ["--schema", "user"],
                environment: ["L2S_DATABASE_URL": database.connectionString])
            #expect(ending.status == 0, "\(command): \(ending.remarks)\(ending.output)")
        }
        #expect(
            try await sql.query(#"SELECT state FROM "user".jobs WHERE id = 1"#).single()
                == "succeeded")
    }

    @Test func namesThatWouldDoHarmAreRefused() async throws {
        let database = try await TestDatabase(migrated: false)
        let long = String(repeating: "a", count: 51)
        for name in ["q; drop", "Q", "1st", "public", "pg_x", "a\"b", long] {
            let ending = try await l2s("migrate", on: database, schema: name)
            #expect(ending.status == 64, "\(name): \(ending.remarks)")
            #expect(ending.remarks.contains("expected L2S_SCHEMA to be the name of a schema"))
        }
        let sql = try await database.connect()
        try await sql.script("CREATE SCHEMA app; CREATE TABLE app.mine (i integer)", name: "app")
        let foreign = try await l2s("migrate", on: database, schema: "app")
        #expect(foreign.status == 78)
        #expect(foreign.remarks.contains("schema app holds something else than a queue"))
        #expect(
            try await sql.query(
                "SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace"
            )
            .single() == 1)
    }
}
