import Foundation
import Postgres
import TestSupport
import Testing

/// What the pages tell readers to type.
@Suite struct PageCommandTests {
    private static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func page(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// Runs in order on one database, because a later example may use an earlier one.
    @Test func theSQLOfThePagesRuns() async throws {
        let database = try await TestDatabase(migrated: false)
        let migrate = try await BuiltProgram("l2s").run(
            ["migrate"], environment: ["L2S_DATABASE_URL": database.connectionString])
        #expect(migrate.status == 0, "\(migrate.remarks)")
        let connection = try await database.connect()
        try await connection.script(
            """
            CREATE TABLE articles (id integer, owner text, body text);
            INSERT INTO articles VALUES (1, 'one', 'A text.'), (2, 'two', 'Another text.');
            """, name: "articles")
        var blocks = 0
        for path in ["README.md", "migrations/README.md"] {
            for block in try Self.page(path).matches(of: #/```sql\n(.*?)```/#.dotMatchesNewlines())
            {
                try await connection.script(String(block.output.1), name: path)
                blocks += 1
            }
        }
        #expect(blocks >= 3)
        let texts: Int = try await connection.query(
            "SELECT count(*) FROM l2s.jobs WHERE state = 'waiting'"
        ).single()
        #expect(texts == 12)
    }

    /// A command of l2s or l2s-worker, as a page shows it in an indented block.
    private struct Command {
        let page: String
        let program: String
        let words: [String]

        /// The names of the subcommand.
        var path: [String] {
            guard program == "l2s" else { return [] }
            return Array(words.prefix(["bench", "distill"].contains(words.first) ? 2 : 1))
        }
        var flags: [String] {
            words.filter { $0.hasPrefix("--") }.map { String($0.prefix { $0 != "=" }) }
        }
    }

    private static let pages = [
        "README.md", "CONTRIBUTING.md", "jobs/README.md", "jobs/recipes/README.md",
        "migrations/README.md", "deploy/README.md", "models/README.md",
        "Sources/Benchmarks/README.md",
    ]

    private static func blocks(of page: String) throws -> [String] {
        try Self.page(page).replacing("\\\n", with: " ").split(separator: "\n")
            .filter { $0.hasPrefix("    ") }.map(String.init)
    }

    private static func commands() throws -> [Command] {
        try pages.flatMap { page in
            try blocks(of: page).flatMap { line in
                // What a shell would do with the rest of the line is not l2s's business.
                line.prefix { $0 != "#" }.split { "|;&<>".contains($0) }.compactMap { part in
                    let words = part.split(separator: " ").map(String.init)
                    let program = words.first?.split(separator: "/").last.map(String.init)
                    guard let program, ["l2s", "l2s-worker"].contains(program) else { return nil }
                    return Command(
                        page: page, program: program, words: Array(words.dropFirst()))
                }
            }
        }
    }

    @Test func theCommandsOfThePagesAreUnderstood() async throws {
        let commands = try Self.commands()
        #expect(commands.count > 15)
        var helps: [[String]: String] = [:]
        for command in commands {
            let path = [command.program] + command.path
            if helps[path] == nil {
                let ending = try await BuiltProgram(command.program).run(command.path + ["--help"])
                #expect(ending.status == 0, "\(command.page): \(path)")
                helps[path] = ending.output
            }
            for flag in command.flags {
                #expect(helps[path]?.contains(flag) == true, "\(command.page): \(path) \(flag)")
            }
        }
    }

    /// Runs in order, in one folder and on one database, with a small model under the names that the
    /// pages use. Commands that need a network or build something have tests of their own.
    @Test(.timeLimit(.minutes(15)), arguments: ["README.md", "deploy/README.md", "jobs/README.md"])
    func theCommandsOfThePagesRun(page: String) async throws {
        let database = try await TestDatabase(migrated: page != "README.md")
        let home = try ScratchFolder()
        try home.copy(fixture: "pair/jobs", as: "jobs")
        try home.copy(fixture: "pair/models", as: "models")
        for name in ["flan-t5-small", "letters", "slm-letters"] {
            try home.copy(fixture: "golden/t5-v1.1/llm", as: "models/" + name)
        }
        let programs = URL(filePath: try BuiltProgram("l2s").path).deletingLastPathComponent().path
        let lines = try Self.blocks(of: page).map { $0.trimmingPrefix(while: \.isWhitespace) }
            .filter { $0.hasPrefix("echo ") || $0.hasPrefix(".build/release/l2s") }
            .filter { !$0.hasPrefix(".build/release/l2s fetch") }
        #expect(lines.count >= 3, "\(lines)")
        let script = lines.joined(separator: "\n")
            .replacing(".build/release/", with: programs + "/")
            // A worker takes all cores by default, and a port that another worker may have.
            .replacing(
                "l2s-worker", with: "l2s-worker --until-empty --threads 1 --http-address off")
        let ending = try await BuiltProgram(path: "/bin/sh").run(
            ["-euc", "cd '\(home.path)'\n" + script],
            environment: [
                "L2S_HOME": home.path, "L2S_DATABASE_URL": database.connectionString,
            ])
        #expect(ending.status == 0, "\(script)\n\(ending.output)\n\(ending.remarks)")
    }

    @Test func theTargetsOfThePagesAreThereToBeMade() throws {
        let makefile = try Self.page("Makefile")
        let targets = try Self.pages.flatMap { page in
            try Self.blocks(of: page).compactMap {
                $0.firstMatch(of: #/^ +make ([a-z-]+)/#).map { String($0.output.1) }
            }
        }
        #expect(targets.count > 5)
        for target in Set(targets) {
            #expect(makefile.contains("\n\(target):"), "make \(target)")
        }
    }

    /// The modules and suites that the pages build and run alone.
    @Test func theModulesAndSuitesOfThePagesAreThere() throws {
        let commands = try Self.pages.flatMap { try Self.blocks(of: $0) }
            .filter { $0.contains(" swift ") }.joined(separator: "\n")
        let modules = commands.matches(of: #/--target (\w+)/#).map { String($0.output.1) }
        let suites = commands.matches(of: #/--filter (\w+)/#).map { String($0.output.1) }
        #expect(!modules.isEmpty && !suites.isEmpty)
        let files = FileManager.default
        for module in modules {
            #expect(
                files.fileExists(atPath: Self.root.appending(path: "Sources/\(module)").path()))
        }
        let tests = files.enumerator(atPath: Self.root.appending(path: "Tests").path())
        let names = Set(
            (tests?.allObjects as? [String] ?? []).compactMap { $0.split(separator: "/").last })
        for suite in suites { #expect(names.contains("\(suite).swift"), "\(suite)") }
    }
}
