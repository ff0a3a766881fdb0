import Foundation

/// pgbouncer in front of a test database, in transaction mode: all clients share a few sessions,
/// and each transaction gets one of them. It runs until `stop`.
package final class Pooler: Sendable {
    private let program: RunningProgram
    private let folder: String
    private let database: String

    /// Nil if pgbouncer is not installed.
    package init?(before database: TestDatabase, sessions: Int = 3) throws {
        guard
            let pgbouncer = BuiltProgram(installed: "pgbouncer")
                ?? ["/usr/sbin/pgbouncer"].first(where: FileManager.default.isExecutableFile)
                .map(BuiltProgram.init(path:))
        else { return nil }
        folder = "/tmp/l2s-pooler-\(UUID().uuidString.prefix(8))"
        self.database = database.name
        let files = FileManager.default
        try files.createDirectory(
            atPath: folder, withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o777])
        // Set again, because createDirectory applies the umask.
        try files.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder)
        let server = URL(filePath: database.socket).deletingLastPathComponent().path()
        let configuration = folder + "/pgbouncer.ini"
        try Data(
            """
            [databases]
            * = host=\(server) port=5432 user=postgres
            [pgbouncer]
            listen_port = 6432
            unix_socket_dir = \(folder)
            auth_type = any
            pool_mode = transaction
            default_pool_size = \(sessions)
            max_client_conn = 200
            """.utf8
        ).write(to: URL(filePath: configuration))
        // pgbouncer refuses to run as root.
        program = try pgbouncer.start(
            (geteuid() == 0 ? ["--user", "postgres"] : []) + [configuration], input: [])
    }

    package var connectionString: String {
        "postgresql://postgres@/\(database)?port=6432&host=\(folder)"
    }

    /// Waits until pgbouncer accepts connections.
    package func ready() async throws {
        try await eventually("pgbouncer serves in \(folder)", within: .seconds(120)) {
            FileManager.default.fileExists(atPath: folder + "/.s.PGSQL.6432")
        }
    }

    package func stop() async throws {
        program.send(SIGTERM)
        _ = try await program.ending()
        try FileManager.default.removeItem(atPath: folder)
    }
}
