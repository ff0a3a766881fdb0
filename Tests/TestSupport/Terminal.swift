import Foundation

/// A command in a terminal of its own, which tmux provides: what a person would see and type.
package final class Terminal: Sendable {
    private let program: BuiltProgram
    private let folder: ScratchFolder
    /// The process of tmux. It goes on even when its socket is gone.
    private let server: pid_t

    /// Nil if tmux is not installed.
    package static var tmux: BuiltProgram? { BuiltProgram(installed: "tmux") }

    /// - Parameters:
    ///   - command: a command for the shell. The shell stays after its end and reads a line.
    ///   - environment: variables in addition to those of the tests; nil removes a variable.
    package init(
        _ command: String, columns: Int = 80, rows: Int = 24, environment: [String: String?] = [:]
    ) async throws {
        guard let program = Self.tmux else { throw POSIXError(.ENOENT) }
        self.program = program
        let folder = try ScratchFolder()
        self.folder = folder
        let words = environment.sorted { $0.key < $1.key }.map { name, value in
            value.map { "\(name)='\($0)'" } ?? "-u \(name)"
        }
        let options = words.filter { $0.hasPrefix("-u") } + words.filter { !$0.hasPrefix("-u") }
        try folder.write(
            "command",
            "exec env \(options.joined(separator: " ")) sh -c '\(command); read line'".utf8)
        let pid = try await Self.run(
            program, in: folder,
            [
                "new-session", "-d", "-P", "-F", "#{pid}", "-s", "test", "-x", "\(columns)", "-y",
                "\(rows)", "sh \(folder.path)/command",
            ]
        ).trimmingCharacters(in: .whitespacesAndNewlines)
        guard let server = pid_t(pid) else { throw POSIXError(.ECHILD) }
        self.server = server
    }

    deinit { kill(server, SIGTERM) }

    /// The lines that the terminal shows now.
    package var screen: String {
        get async throws { try await tmux("capture-pane", "-p", "-t", "test") }
    }

    /// The same lines with their colours as escape sequences.
    package var coloredScreen: String {
        get async throws { try await tmux("capture-pane", "-e", "-p", "-t", "test") }
    }

    package func type(_ keys: String...) async throws {
        _ = try await run(["send-keys", "-t", "test"] + keys)
    }

    package func resize(columns: Int, rows: Int) async throws {
        _ = try await tmux("resize-window", "-t", "test", "-x", "\(columns)", "-y", "\(rows)")
    }

    /// Waits until the screen meets a condition, and returns that screen.
    @discardableResult
    package func wait(
        _ expected: String, until condition: (String) -> Bool
    ) async throws -> String {
        var last = ""
        do {
            try await eventually(expected) {
                last = try await screen
                return condition(last)
            }
        } catch let error as NotInTime {
            throw NotOnScreen(error: error, screen: last)
        }
        return last
    }

    private func tmux(_ arguments: String...) async throws -> String { try await run(arguments) }

    private func run(_ arguments: [String]) async throws -> String {
        try await Self.run(program, in: folder, arguments)
    }

    private static func run(
        _ program: BuiltProgram, in folder: ScratchFolder, _ arguments: [String]
    ) async throws -> String {
        // tmux itself needs a UTF-8 locale, whatever its command gets.
        try await program.run(
            ["-S", folder.path + "/socket", "-f", "/dev/null"] + arguments,
            environment: ["LC_ALL": "C.UTF-8", "TERM": "xterm-256color"]
        ).output
    }
}

private struct NotOnScreen: Error, CustomStringConvertible {
    let error: NotInTime
    let screen: String

    var description: String { "\(error); the screen:\n\(screen)" }
}
