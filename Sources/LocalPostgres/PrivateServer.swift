import Foundation

/// A private PostgreSQL server. It has its own data folder and a Unix socket in a folder that only
/// its owner (and root) can enter, and it does not listen on TCP.
///
/// If root starts it, the server runs as the system user `postgres`, which Debian's packages
/// create, because PostgreSQL refuses to run as root. Every call blocks.
package struct PrivateServer: Sendable {
    /// Holds data/, socket/ and server.log.
    package let folder: String
    private let programs: ServerPrograms
    private let settings: [String: String]
    private let environment: [String: String]

    /// Creates the data folder if there is none, and starts the server unless it runs already.
    ///
    /// - Parameters:
    ///   - settings: server settings such as `["fsync": "off"]`. They have no effect on a server
    ///     that runs already.
    ///   - environment: variables for the server, in addition to those of this process.
    /// - Throws: `PrivateServerError`.
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

    /// The server that runs on the data of `folder`; nil if none does.
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

    /// libpq's URL for a database of this server. It holds no password, because the folder protects
    /// the server.
    package func connectionString(database: String = "postgres") -> String {
        func encoded(_ text: String) -> String {
            text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text
        }
        return "postgresql://postgres@/\(encoded(database))?host=\(encoded(socketFolder))"
    }

    /// Stops the server. Running statements are cancelled and the data is written before it
    /// returns.
    package func stop() throws {
        try control("stop", "-m", "fast", "-w")
    }

    /// Stops the server as a crash would and starts it again.
    package func restartImmediately() throws {
        try crash()
        try startAgain()
    }

    /// Stops the server at once, as a crash would.
    package func crash() throws { try control("stop", "-m", "immediate", "-w") }

    /// Starts the server, and does nothing if it runs.
    package func startAgain() throws {
        if try !isRunning { try launch() }
    }

    /// Stops the server at once and deletes its folder.
    package func remove() throws {
        if try isRunning { try crash() }
        try FileManager.default.removeItem(atPath: folder)
    }
}

extension PrivateServer {
    /// Seconds that pg_ctl waits for a start or a stop, which may take minutes on a machine that
    /// hundreds of programs share. pg_ctl notices at once if the server ends instead of starting.
    private static let patience = "600"

    private var dataFolder: String { folder + "/data" }
    private var socketFolder: String { folder + "/socket" }
    private var logFile: String { folder + "/server.log" }

    private var isRunning: Bool {
        get throws {
            let status = try programs.run("pg_ctl", ["status", "-D", dataFolder]).status
            // Status 3 means not running, and 4 no data folder.
            return status == 0
        }
    }

    /// Checks the folder's path. A socket's path may have 107 bytes, because sockaddr_un holds 108
    /// with the end. The characters would not survive pg_ctl's shell or the server's list of
    /// folders.
    private func checkSocketPath() throws {
        let path = socketFolder + "/.s.PGSQL.5432"
        guard folder.hasPrefix("/"), path.utf8.count <= 107,
            !folder.unicodeScalars.contains(where: { "'\"\\,\n".unicodeScalars.contains($0) })
        else {
            throw PrivateServerError.folder(
                folder,
                expected:
                    "an absolute path of at most \(107 - "/socket/.s.PGSQL.5432".count) bytes, "
                    + "the limit of Unix sockets, without quotes, commas, backslashes and line "
                    + "ends")
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
            throw PrivateServerError.folder(folder, expected: "one that can be created and owned")
        }
        guard try programs.run("test", ["-x", folder]).status == 0 else {
            throw PrivateServerError.folder(
                folder, expected: "one that user postgres can reach: a folder above keeps it out")
        }
        if !files.fileExists(atPath: dataFolder) { try makeData() }
    }

    /// Creates the data folder under another name and renames it at the end, so that what an
    /// interrupted run left does not look like a data folder.
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
