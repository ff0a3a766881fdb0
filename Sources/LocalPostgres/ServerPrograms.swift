import Foundation

/// PostgreSQL's server programs on this machine, and the user that may run them.
struct ServerPrograms: Sendable {
    /// Where initdb, pg_ctl and postgres are.
    let folder: String
    /// The user that runs them; nil for the user of this process.
    let owner: Owner?

    struct Owner: Sendable {
        let user: UInt32
        let group: UInt32
    }

    static func find() throws -> ServerPrograms {
        var owner: Owner?
        if geteuid() == 0 {
            guard let entry = getpwnam("postgres") else { throw PrivateServerError.noUser }
            owner = Owner(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
        }
        return ServerPrograms(folder: try findFolder(), owner: owner)
    }

    /// Takes the highest version in Debian's folders, which are not in PATH, and else a folder of
    /// PATH.
    private static func findFolder() throws -> String {
        let files = FileManager.default
        let root = "/usr/lib/postgresql"
        let versions = ((try? files.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let candidates =
            versions.sorted(by: >).map { "\(root)/\($0)/bin" }
            + path.split(separator: ":").map(String.init)
        let found = candidates.first { folder in
            ["initdb", "pg_ctl", "postgres"].allSatisfy {
                files.isExecutableFile(atPath: "\(folder)/\($0)")
            }
        }
        guard let found else { throw PrivateServerError.notInstalled(lookedIn: candidates) }
        return found
    }

    /// Runs a program of the folder, or else of PATH, as the owner. Returns its exit status and
    /// what it wrote to both outputs.
    ///
    /// - Parameter more: variables for the program's environment.
    func run(
        _ program: String, _ arguments: [String], _ more: [String: String] = [:]
    ) throws -> (status: Int32, words: String) {
        let own = "\(folder)/\(program)"
        let change = owner.map {
            ["setpriv", "--reuid=\($0.user)", "--regid=\($0.group)", "--init-groups"]
        }
        // It runs in `/`, because the owner may have no access to the current folder. The
        // additional variables are set only for the program itself, because one may name a library
        // to load.
        let command =
            ["/usr/bin/env", "-C", "/"] + (change ?? [])
            + ["/usr/bin/env"] + more.map { "\($0.key)=\($0.value)" }
            + [FileManager.default.isExecutableFile(atPath: own) ? own : program] + arguments
        let environment = ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("PG") && !$0.key.hasPrefix("LC_") && $0.key != "LANG" }
            .map { "\($0.key)=\($0.value)" }
        // The output goes to a file, because the server inherits it and would keep a pipe open.
        let output = FileManager.default.temporaryDirectory
            .appendingPathComponent("l2s-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: output) }
        let status = try Self.spawn(command, environment, output: output)
        let words = FileManager.default.contents(atPath: output) ?? Data()
        return (status, String(decoding: words, as: UTF8.self))
    }

    /// Foundation's Process is not used: it would wait for the server, too, which inherits a socket
    /// of it. The server inherits nothing that is open here, or somebody could wait in vain for it to be
    /// closed.
    private static func spawn(
        _ command: [String], _ environment: [String], output: String
    ) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        for inherited in 3..<min(getdtablesize(), 1024) {
            posix_spawn_file_actions_addclose(&actions, inherited)
        }
        let arguments = command.map { strdup($0) } + [nil]
        let variables = environment.map { strdup($0) } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var child: pid_t = 0
        let error = posix_spawn(&child, command[0], &actions, nil, arguments, variables)
        guard error == 0 else {
            throw PrivateServerError.failed(
                program: command[0], status: error, words: String(cString: strerror(error)))
        }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        // The exit status, or 128 and the signal for a killed program, as shells do it.
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }

    /// Runs a program and throws the last lines of its output if it fails.
    func demand(
        _ program: String, _ arguments: [String], _ more: [String: String] = [:]
    ) throws {
        let (status, words) = try run(program, arguments, more)
        guard status == 0 else {
            throw PrivateServerError.failed(
                program: program, status: status,
                words: words.split(whereSeparator: \.isNewline).suffix(5).joined(separator: " "))
        }
    }
}
