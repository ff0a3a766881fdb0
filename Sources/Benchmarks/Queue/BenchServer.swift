internal import Foundation
internal import Jobs
internal import LocalPostgres
internal import Postgres
internal import PostgresJobs

/// A private PostgreSQL for measurements: durable, with stated settings, on the disk of its folder.
package struct BenchServer: Sendable {
    /// Everything that is not PostgreSQL's default. Nothing here makes a commit less durable.
    package static let settings = [
        "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
        "shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min",
        "max_connections": "200", "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.track": "top",
    ]

    private let server: PrivateServer

    /// - Parameter folder: made here, and deleted by `remove`.
    package init(folder: String) throws {
        server = try PrivateServer.start(folder: folder, settings: Self.settings)
    }

    package func remove() throws { try server.remove() }

    /// The lines that the server has logged so far.
    func log() throws -> [Substring] {
        try String(contentsOfFile: server.folder + "/server.log", encoding: .utf8)
            .split(separator: "\n")
    }

    /// A new database. It has the schema `l2s`, unless it is for another queue.
    package func database(_ name: String, migrated: Bool = true) async throws -> BenchDatabase {
        let admin = try await connection(to: "postgres")
        try await admin.query("DROP DATABASE IF EXISTS \(name)")
        try await admin.query("CREATE DATABASE \(name)")
        await admin.close()
        let database = BenchDatabase(
            url: server.connectionString(database: name), sql: try await connection(to: name))
        if migrated {
            _ = try await SchemaMigrator().migrate(database.sql)
            try await JobTypeTable.write([BenchDatabase.jobType], database.sql)
        }
        return database
    }

    package func drop(_ name: String) async throws {
        let admin = try await connection(to: "postgres")
        try await admin.query("DROP DATABASE \(name) WITH (FORCE)")
    }

    private func connection(to name: String) async throws -> DatabaseConnection {
        var settings = try ConnectionSettings(
            server.connectionString(database: name), applicationName: "l2s bench")
        settings.statementTimeout = .zero
        let connection = DatabaseConnection(settings)
        try await connection.connect()
        return connection
    }
}
