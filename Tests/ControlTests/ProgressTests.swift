import Foundation
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// What long commands say while they work.
@Suite(.timeLimit(.minutes(15))) struct ProgressTests {
    private let lines = String(repeating: "A line of text, one of many.\n", count: 40_000)

    private func database() async throws -> TestDatabase {
        let database = try await TestDatabase()
        let ending = try await BuiltProgram("l2s").run([
            "migrate", "--database-url", database.connectionString,
        ])
        #expect(ending.status == 0, "\(ending.remarks)")
        return database
    }

    @Test(
        .enabled(
            if: Terminal.tmux != nil, "needs tmux: .ci/install-packages --tools"),
        arguments: [("C.UTF-8", "█"), ("C", "#")])
    func aTerminalGetsABarWithTheTimeLeft(locale: String, bar: Character) async throws {
        let database = try await database()
        let folder = try ScratchFolder()
        let file = try folder.write("lines", lines.utf8)
        let l2s = try BuiltProgram("l2s").path
        let terminal = try await Terminal(
            "\(l2s) enqueue --job-type summarize --lines \(file) > \(folder.path)/ids; echo ended $?",
            environment: ["L2S_DATABASE_URL": database.connectionString, "LC_ALL": locale])
        let drawn = try await terminal.wait("a bar is drawn") {
            $0.contains(" left") && $0.contains(bar)
        }
        let line = try #require(drawn.split(separator: "\n").first { $0.contains(" left") })
        #expect(
            line.contains(#/ enqueueing: [0-9,]+ documents, [0-9.,]+/s, [0-9.]+ (m?s|min) left/#))
        #expect(locale != "C" || line.allSatisfy(\.isASCII))
        let end = try await terminal.wait("it ends") { $0.contains("ended 0") }
        #expect(end.hasPrefix("enqueued 40,000 documents\nended 0"), "\(end)")
        let ids = try String(contentsOfFile: folder.path + "/ids", encoding: .utf8)
        #expect(ids.split(separator: "\n").count == 40_000)
    }

    @Test func aPipeGetsPlainLines() async throws {
        let database = try await database()
        let ending = try await BuiltProgram("l2s").run(
            ["enqueue", "--job-type", "summarize", "--lines"], input: lines.utf8,
            environment: ["L2S_DATABASE_URL": database.connectionString])
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(!ending.remarks.contains("\u{1b}") && !ending.remarks.contains("\r"))
        #expect(ending.remarks.hasSuffix("enqueued 40,000 documents\n"))
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionsKnowEveryCommand(shell: String) async throws {
        let script = try await BuiltProgram("l2s").run(["--generate-completion-script", shell])
        #expect(script.status == 0)
        let help = try await BuiltProgram("l2s").run(["--help"]).output
        let commands =
            help.split(separator: "SUBCOMMANDS:").last?.split(separator: "\n")
            .compactMap { $0.firstMatch(of: #/^  ([a-z]+) /#)?.output.1 } ?? []
        #expect(commands.count > 10)
        for command in commands { #expect(script.output.contains(command), "\(command)") }
        guard let program = BuiltProgram(installed: shell) else { return }
        let folder = try ScratchFolder()
        let path = try folder.write("script", script.output.utf8)
        let verdict = try await program.run(["-n", path])
        #expect(verdict.status == 0, "\(verdict.remarks)")
    }
}
