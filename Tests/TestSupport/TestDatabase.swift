import Foundation
import LocalPostgres
package import Postgres
import PostgresJobs
import Synchronization

/// A database of its own for one test, on a private server that all tests of the process share.
///
/// Offline and without a server that somebody else started. The database lives as long as the
/// server: until the process ends.
package struct TestDatabase: Sendable {
    package let name: String
    private let server: PrivateServer

    /// - Parameter migrated: whether it holds schema `l2s`.
    package init(migrated: Bool = true) async throws {
        self = try await Self.create(on: SharedServer.shared.get(), migrated: migrated)
    }

    /// On a server of its own, for tests that restart it.
    ///
    /// - Parameters:
    ///   - folder: the server's, new. Default: one in the system's temporary folder.
    ///   - settings: of the server, beside those of all test servers.
    ///   - environment: of the server.
    ///   - migrated: whether the database holds schema `l2s`.
    package static func onOwnServer(
        folder: String? = nil, settings: [String: String] = [:],
        environment: [String: String] = [:], migrated: Bool = true
    ) async throws -> TestDatabase {
        try await create(
            on: SharedServer.launch(folder: folder, settings, environment), migrated: migrated)
    }

    private static func create(
        on server: PrivateServer, migrated: Bool
    ) async throws -> TestDatabase {
        let name = "test_\(UUID().uuidString.prefix(8).lowercased())"
        let admin = DatabaseConnection(try patient(server.connectionString()))
        try await admin.connect()
        try await admin.query("CREATE DATABASE \(name)")
        let database = TestDatabase(name: name, server: server)
        if migrated {
            _ = try await SchemaMigrator().migrate(try await database.connect())
        }
        return database
    }

    /// Seconds. A machine that hundreds of tests share may take a hundred times as long as a quiet one.
    package static let patience = 600

    private static func patient(_ connectionString: String) throws -> ConnectionSettings {
        var settings = try ConnectionSettings(connectionString, applicationName: "l2s tests")
        settings.statementTimeout = .seconds(patience)
        settings.connectTimeout = .seconds(patience)
        return settings
    }

    private init(name: String, server: PrivateServer) {
        self.name = name
        self.server = server
    }

    /// Programs that are started with it wait for a connection as long as tests do.
    package var connectionString: String {
        server.connectionString(database: name) + "&connect_timeout=\(Self.patience)"
    }

    /// - Parameter user: nil for the one that made the server.
    package func settings(user: String? = nil) throws -> ConnectionSettings {
        try Self.patient(connectionString + (user.map { "&user=\($0)" } ?? ""))
    }

    package func connect() async throws -> DatabaseConnection {
        let connection = DatabaseConnection(try settings())
        try await connection.connect()
        return connection
    }

    /// `pg_ctl restart -m immediate`: every connection breaks.
    package func restartServer() throws {
        try server.restartImmediately()
    }

    /// The server goes away, until `startServer`.
    package func crashServer() throws { try server.crash() }

    package func startServer() throws { try server.startAgain() }

    package func removeServer() throws { try server.remove() }

    /// The server's Unix socket.
    package var socket: String { server.folder + "/socket/.s.PGSQL.5432" }
}

private enum SharedServer {
    static let shared = Result { try launch() }
    /// Servers to remove at exit. Written by `launch`, read at exit.
    private static let launched = Mutex<[PrivateServer]>([])

    static let settings = ["fsync": "off", "max_connections": "500"]

    static func launch(
        folder: String? = nil, _ more: [String: String] = [:],
        _ environment: [String: String] = [:]
    ) throws -> PrivateServer {
        let server = try PrivateServer.start(
            folder: folder ?? "/tmp/l2s-test-\(UUID().uuidString.prefix(8))",
            settings: settings.merging(more) { _, more in more }, environment: environment)
        let first = launched.withLock { launched in
            launched.append(server)
            return launched.count == 1
        }
        if first {
            atexit {
                for server in SharedServer.launched.withLock({ $0 }) { try? server.remove() }
            }
        }
        return server
    }
}
