import Foundation
import LocalPostgres
package import Postgres
import PostgresJobs
import Synchronization

/// A database of its own for one test, on a private server that all tests of the process share.
///
/// It needs no network and no server that somebody else started. The database lives as long as the
/// server, which is until the process ends.
package struct TestDatabase: Sendable {
    package let name: String
    private let server: PrivateServer

    /// - Parameter migrated: whether it holds schema `l2s`.
    package init(migrated: Bool = true) async throws {
        self = try await Self.create(on: SharedServer.shared.get(), migrated: migrated)
    }

    /// A database on a server of its own, for tests that restart the server.
    ///
    /// - Parameters:
    ///   - folder: a new folder for the server. Default: one under `/tmp`.
    ///   - settings: settings of the server in addition to those of all test servers.
    ///   - environment: variables for the server.
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

    /// How long tests wait for the server, in seconds. A machine that hundreds of tests share may
    /// take a hundred times as long as a quiet one.
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

    /// Programs that get this text wait for a connection as long as tests do.
    package var connectionString: String {
        server.connectionString(database: name) + "&connect_timeout=\(Self.patience)"
    }

    /// - Parameter user: nil for the user that created the server.
    package func settings(user: String? = nil) throws -> ConnectionSettings {
        try Self.patient(connectionString + (user.map { "&user=\($0)" } ?? ""))
    }

    package func connect() async throws -> DatabaseConnection {
        let connection = DatabaseConnection(try settings())
        try await connection.connect()
        return connection
    }

    /// Restarts the server as after a crash. Every connection breaks.
    package func restartServer() throws {
        try server.restartImmediately()
    }

    /// Stops the server as a crash would. `startServer` starts it again.
    package func crashServer() throws { try server.crash() }

    package func startServer() throws { try server.startAgain() }

    package func removeServer() throws { try server.remove() }

    /// The server's Unix socket.
    package var socket: String { server.folder + "/socket/.s.PGSQL.5432" }
}

private enum SharedServer {
    static let shared = Result { try launch() }
    /// Servers to remove at exit.
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
