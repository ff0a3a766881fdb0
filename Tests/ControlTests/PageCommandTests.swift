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
        let lines = try Self.blocks(of: page).map { $0.trimmingPrefix(while: \.isWhitespace) }
            .filter { $0.hasPrefix("echo ") || $0.hasPrefix(".build/release/l2s") }
            .filter { !$0.hasPrefix(".build/release/l2s fetch") }
        #expect(lines.count >= 3, "\(lines)")
        _ = try await Self.run(lines.map(String.init), in: home, on: database)
    }

    /// What users measure, with a small model in the place of the default LLM. The targets of make on
    /// these pages take hours, or need a network: theTargetsOfThePagesAreThereToBeMade.
    @Test(.timeLimit(.minutes(15)))
    func theCommandsOfThePagesThatMeasureRun() async throws {
        let home = try ScratchFolder()
        try home.copy(fixture: "pair/jobs", as: "jobs")
        let job = try String(
            contentsOfFile: Fixtures.path("pair/jobs/summarize.yaml"), encoding: .utf8)
        try home.write(
            "jobs/hybrid.yaml", job.replacing("name: summarize", with: "name: hybrid").utf8)
        try home.copy(fixture: "pair/models", as: "models")
        try home.copy(fixture: "golden/llama/llm", as: "SmolLM2-135M-Instruct")
        try home.write(
            "documents.jsonl", #"{"job_type": "summarize", "document": "A text."}"#.utf8)
        try home.write("pairs.jsonl", #"{"source": "A text.", "target": "Text."}"#.utf8)
        try home.write("PAIRS", #"{"src": "A text.", "tgt": "Text."}"#.utf8)
        let measured = try Self.blocks(of: "Sources/Benchmarks/README.md")
            .compactMap { $0.firstMatch(of: #/^ +(?:\.build\/release\/)?(l2s [^#]+)/#) }
            .map { String($0.output.1) }
        let scored = try Self.page("models/README.md")
            .matches(of: #/`(l2s eval [^`]+)`/#).map { String($0.output.1) }
        #expect(measured.count >= 3 && scored.count >= 1, "\(measured) \(scored)")
        let database = try await TestDatabase(migrated: false)
        _ = try await Self.run(
            (measured + scored).map {
                ".build/release/"
                    + $0.replacing("summarize-hybrid", with: "hybrid")
                    .replacing("--documents 1000", with: "--documents 20 --rounds 1")
            }, in: home, on: database)
        #expect(FileManager.default.fileExists(atPath: home.path + "/page/README.md"))
    }

    /// Runs lines of a shell in a folder, with the programs of this build; one that fails ends them.
    private static func run(
        _ lines: [String], in home: ScratchFolder, on database: TestDatabase
    ) async throws -> RunningProgram.Ending {
        let programs = URL(filePath: try BuiltProgram("l2s").path).deletingLastPathComponent().path
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
        return ending
    }

    /// The examples of README's table, in their order, on a database with what they name.
    @Test(.timeLimit(.minutes(15))) func theExamplesOfTheCommandTableRun() async throws {
        let table = try Self.page("README.md").split(separator: "\n")
            .drop { !$0.hasPrefix("| command |") }.prefix { $0.hasPrefix("|") }
        let examples = table.compactMap { row in
            row.firstMatch(of: #/: `l2s ([^`]+)`/#).map { String($0.output.1) }
        }.filter { !$0.hasPrefix("fetch ") }
        #expect(examples.count >= 4, "\(examples)")
        // Transactions of other tests would hold results back.
        let database = try await TestDatabase.onOwnServer()
        let home = try ScratchFolder()
        try home.copy(fixture: "pair/jobs", as: "jobs")
        try home.copy(fixture: "pair/models", as: "models")
        for name in ["a.txt", "b.txt"] { try home.write(name, "A text.".utf8) }
        // The queue of a reader has a group of that name, and it ends.
        let before = [
            "migrate", "enqueue --job-type summarize --group nightly-2026-11-23 a.txt",
        ]
        let ending = try await Self.run(
            (before.map { ".build/release/l2s " + $0 } + [".build/release/l2s-worker"])
                + examples.map { ".build/release/l2s " + $0 }, in: home, on: database)
        #expect(ending.output.contains(#""job_type":"summarize","#), "\(ending.output)")
    }

    /// A queue in which a large model wrote; then the page's way to a small model that serves, with the
    /// page's recipe.
    @Test(.timeLimit(.minutes(15))) func aSmallModelComesFromTheQueueAsThePageSays() async throws {
        let page = "jobs/recipes/README.md"
        let database = try await TestDatabase(migrated: false)
        let home = try ScratchFolder()
        for name in ["jobs", "models"] {
            try FileManager.default.createDirectory(
                atPath: home.path + "/" + name, withIntermediateDirectories: false)
        }
        try home.copy(fixture: "pair/models/llm", as: "models/letters")
        let recipe = try #require(
            try Self.page(page).firstMatch(
                of: #/```yaml\n(llm: letters.*?)```/#.dotMatchesNewlines()))
        try home.write("letters.recipe.yaml", recipe.output.1.utf8)
        let job = """
            prompt: "translate English to Italian: {document}"
            decoding: {no_repeat_ngram: 3}
            """
        try home.write("jobs/letters.yaml", "name: letters\nmode: llm\nllm: letters\n\(job)".utf8)
        let documents = (0..<300).map { #"{"document": "Module \#($0) for mail servers"}"# + "\n" }
        try home.write("documents.jsonl", documents.joined().utf8)
        try home.write("letter.txt", "Module for mail servers".utf8)
        _ = try await Self.run(
            [
                ".build/release/l2s migrate",
                ".build/release/l2s enqueue --json-lines --job-type letters documents.jsonl",
                ".build/release/l2s-worker",
            ], in: home, on: database)
        try home.write(
            "jobs/letters-hybrid.yaml",
            "name: letters-hybrid\nmode: hybrid\nllm: letters\nslm: slm-letters\n\(job)".utf8)
        let lines = try Self.blocks(of: page).filter { $0.contains(".build/release/") }
            .filter { !$0.contains("pairs.jsonl") }
        #expect(lines.count == 4, "\(lines)")
        // Before the last line, the worker's, comes what a reader would do to have it serve.
        _ = try await Self.run(
            lines.dropLast() + [
                ".build/release/l2s migrate",
                ".build/release/l2s enqueue --job-type letters-hybrid letter.txt",
            ] + lines.suffix(1), in: home, on: database)
        let connection = try await database.connect()
        let served: Int = try await connection.query(
            "SELECT count(*) FROM l2s.jobs WHERE job_type = 'letters-hybrid' AND state = 'succeeded'"
        ).single()
        #expect(served == 1)
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
