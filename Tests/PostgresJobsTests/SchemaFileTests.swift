import Foundation
import LocalPostgres
import Postgres
import TestSupport
import Testing

/// `migrations/schema.sql` shows the schema of today, for people who look something up.
@Suite struct SchemaFileTests {
    private static let path = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "migrations/schema.sql")
    private static let header = """
        -- The schema of today as pg_dump of PostgreSQL 15 writes it, without owners and comments of its
        -- own. `make schema` writes it anew; a test holds it to the migrations.
        """

    /// Only version 15 is compared, because other versions of pg_dump write the same schema
    /// differently.
    @Test func itIsWhatTheMigrationsMake() async throws {
        let database = try await TestDatabase()
        let sql = try await database.connect()
        let version: Int = try await sql.query("SELECT current_setting('server_version_num')")
            .single()
        guard version / 10_000 == 15 else { return }
        let dump = try await BuiltProgram(
            path: try PrivateServer.programsFolder + "/pg_dump"
        ).run([
            "--schema-only", "--no-owner", "--no-privileges", "--schema", "l2s",
            database.connectionString,
        ])
        #expect(dump.status == 0, "\(dump.remarks)")
        let lines = dump.output.split(separator: "\n").filter {
            !$0.hasPrefix("--") && !$0.hasPrefix("SET ") && !$0.hasPrefix("SELECT pg_catalog.")
                && !$0.hasPrefix("\\")
        }
        let text = Self.header + "\n" + lines.joined(separator: "\n") + "\n"
        if ProcessInfo.processInfo.environment["L2S_WRITE_SCHEMA"] == "1" {
            try Data(text.utf8).write(to: Self.path)
        }
        let written = try String(contentsOf: Self.path, encoding: .utf8)
        #expect(
            text == written, "migrations/schema.sql is not the schema of today: run make schema")
    }
}
