import Foundation

/// A private PostgreSQL server: its own data folder, a Unix socket in a folder that only its owner
/// (and root) can enter, no TCP.
///
/// Run by root, the server belongs to the system user `postgres`, which Debian's packages create:
/// PostgreSQL refuses to run as root. Every call blocks.
package struct PrivateServer: Sendable {
    /// Holds data/, socket/ and server.log.
    package let folder: String
    private let programs: ServerPrograms
    private let settings: [String: String]
    private let environment: [String: String]

    /// Makes the data folder when there is none, and starts the server unless it runs already.
    ///
    /// - Parameters:
    ///   - settings: server settings such as `["fsync": "off"]`; they apply from a start on.
    ///   - environment: of the server, beside this process's.
    package static func start(
        folder: String, settings: [String: String] = [:], environment: [String: String] = [:]
    ) throws -> PrivateServer {
        let server = PrivateServer(
            folder: folder, programs: try ServerPrograms.find(), settings: settings,
            environment: environment)
        try server.checkSocketPath()
        try server.makeFolders()
        if try !server.isRunning { try server.launch() }
        return server
    }

    /// The server that runs on `folder`'s data, if one does.
    package static func running(folder: String) throws -> PrivateServer? {
        let server = PrivateServer(
            folder: folder, programs: try ServerPrograms.find(), settings: [:], environment: [:])
        return try server.isRunning ? server : nil
    }

    /// Where this machine's initdb, pg_ctl and postgres are.
    package static var programsFolder: String {
        get throws { try ServerPrograms.find().folder }
    }

    /// `$XDG_STATE_HOME/l2s/postgres`, else `/var/lib/l2s/postgres` for root, else
    /// `~/.local/state/l2s/postgres`.
    package static var defaultFolder: String {
        let environment = ProcessInfo.processInfo.environment
        if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") {
            return state + "/l2s/postgres"
        }
        if geteuid() == 0 { return "/var/lib/l2s/postgres" }
        return (environment["HOME"] ?? NSHomeDirectory()) + "/.local/state/l2s/postgres"
    }

    /// libpq's URL for a database of this server. Holds no password: the folder is the lock.
    package func connectionString(database: String = "postgres") -> String {
        func encoded(_ text: String) -> String {
            text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text
        }
        return "postgresql://postgres@/\(encoded(database))?host=\(encoded(socketFolder))"
    }

    /// Waits for running statements to be cut off and the data to be written.
    package func stop() throws {
        try control("stop", "-m", "fast", "-w")
    }

    /// Drops everything at once and starts again, as after a crash.
    package func restartImmediately() throws {
        try crash()
        try startAgain()
    }

    /// Drops everything at once.
    package func crash() throws { try control("stop", "-m", "immediate", "-w") }

    /// Does nothing while it runs.
    package func startAgain() throws {
        if try !isRunning { try launch() }
    }

    /// Stops at once and deletes the folder.
    package func remove() throws {
        if try isRunning { try crash() }
        try FileManager.default.removeItem(atPath: folder)
    }
}

extension PrivateServer {
    /// Seconds that pg_ctl waits for a start or a stop, which takes minutes on a machine that hundreds of
    /// programs share. A server that ends instead is noticed at once.
    private static let patience = "600"

    private var dataFolder: String { folder + "/data" }
    private var socketFolder: String { folder + "/socket" }
    private var logFile: String { folder + "/server.log" }

    private var isRunning: Bool {
        get throws {
            let status = try programs.run("pg_ctl", ["status", "-D", dataFolder]).status
            // 3: not running; 4: no data folder.
            return status == 0
        }
    }

    /// sockaddr_un holds 107 bytes and an end; the rest would not survive pg_ctl's shell or the
    /// server's list of folders.
    private func checkSocketPath() throws {
        let path = socketFolder + "/.s.PGSQL.5432"
        guard folder.hasPrefix("/"), path.utf8.count <= 107,
            !folder.contains(where: { "'\"\\,\n".contains($0) })
        else {
            throw PrivateServerError.folder(
                folder,
                expected:
                    "an absolute path of at most \(107 - "/socket/.s.PGSQL.5432".count) bytes, "
                    + "the limit of Unix sockets, without quotes, commas and backslashes")
        }
    }

    private func makeFolders() throws {
        let files = FileManager.default
        do {
            try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
            if !files.fileExists(atPath: socketFolder) {
                try files.createDirectory(atPath: socketFolder, withIntermediateDirectories: false)
            }
            for path in [folder, socketFolder] {
                try files.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
                if let owner = programs.owner {
                    try files.setAttributes(
                        [.ownerAccountID: owner.user, .groupOwnerAccountID: owner.group],
                        ofItemAtPath: path)
                }
            }
        } catch {
            throw PrivateServerError.folder(folder, expected: "a folder that can be made and owned")
        }
        guard try programs.run("test", ["-x", folder]).status == 0 else {
            throw PrivateServerError.folder(
                folder, expected: "reachable for user postgres: a folder above it is closed to it")
        }
        if !files.fileExists(atPath: dataFolder) { try makeData() }
    }

    /// Under another name first: a run that was cut off must not look like a data folder.
    private func makeData() throws {
        let files = FileManager.default
        let partial = dataFolder + ".partial"
        if files.fileExists(atPath: partial) { try files.removeItem(atPath: partial) }
        try programs.demand(
            "initdb",
            [
                "-D", partial, "--username=postgres", "--auth=trust", "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
        try files.moveItem(atPath: partial, toPath: dataFolder)
    }

    private func launch() throws {
        let ours = [
            "listen_addresses": "", "unix_socket_directories": socketFolder, "port": "5432",
        ]
        let options = settings.merging(ours) { _, ours in ours }.sorted { $0.key < $1.key }
            .map { "-c \($0.key)='\($0.value)'" }.joined(separator: " ")
        do {
            try programs.demand(
                "pg_ctl",
                [
                    "start", "-D", dataFolder, "-w", "-t", Self.patience, "-l", logFile, "-o",
                    options,
                ],
                environment)
        } catch PrivateServerError.failed(let program, let status, let words) {
            throw PrivateServerError.failed(
                program: program, status: status, words: words + " (its log: \(logFile))")
        }
    }

    private func control(_ verb: String, _ arguments: String...) throws {
        try programs.demand("pg_ctl", [verb, "-D", dataFolder, "-t", Self.patience] + arguments)
    }
}
