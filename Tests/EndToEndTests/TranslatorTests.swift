import Foundation
import Postgres
import TestSupport
import Testing

/// The way from a downloaded translator to translated rows, as jobs/README.md prints it.
@Suite(.timeLimit(.minutes(15))) struct TranslatorTests {
    @Test func aStrangersWayLeadsToTranslatedRows() async throws {
        let stand = try await TestStand()
        let home = try ScratchFolder()
        try FileManager.default.createDirectory(
            atPath: home.path + "/Downloads", withIntermediateDirectories: true)
        try home.copy(fixture: "golden/marian/llm", as: "Downloads/opus-mt-en-it")
        try await stand.sql.query("CREATE TABLE articles (body text)")
        try await stand.sql.query(
            "INSERT INTO articles VALUES ('the cat sleeps'), ('a dog in the garden')")
        let programs = URL(filePath: try BuiltProgram("l2s").path).deletingLastPathComponent().path
        let commands = try commands()
            .replacing("$PWD/.build/release", with: programs)
            .replacing("postgresql://me@host/db", with: "'\(stand.database.connectionString)'")
            // A worker takes all cores by default, and a port that another worker may have.
            .replacing("--until-empty", with: "--until-empty --threads 1 --http-address off")
        let ending = try await BuiltProgram(path: "/bin/sh").run(
            ["-euc", "cd '\(TestStand.root.path())'\n" + commands],
            environment: ["HOME": home.path])
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(ending.output.contains("(2 rows)"), "\(ending.output)")
        let rows = try await stand.sql.query(
            """
            SELECT count(*) FROM l2s.jobs
            WHERE job_type = 'opus-mt-en-it' AND state = 'succeeded' AND output <> ''
            """)
        #expect(try rows.single() == 2)
    }

    /// The only block of shell commands about a download.
    private func commands() throws -> String {
        let text = try String(
            contentsOf: TestStand.root.appending(path: "jobs/README.md"), encoding: .utf8)
        let blocks = text.components(separatedBy: "```sh\n").dropFirst()
            .compactMap { $0.components(separatedBy: "```").first }
            .filter { $0.contains("Downloads") }
        let block = try #require(blocks.first)
        #expect(blocks.count == 1 && block.split(separator: "\n").count <= 10)
        return block
    }
}
