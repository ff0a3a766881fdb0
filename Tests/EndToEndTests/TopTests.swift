import Foundation
import Postgres
import TestSupport
import Testing

/// `l2s top`, `trace` and `plan` beside a worker at work.
@Suite(.serialized, .timeLimit(.minutes(15))) struct TopTests {
    private var random = SeededRandom(seed: 6666)

    private func l2s(
        _ arguments: [String], on stand: TestStand, locale: String = "C.UTF-8"
    ) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(
            arguments,
            environment: [
                "L2S_DATABASE_URL": stand.database.connectionString, "LC_ALL": locale,
            ])
    }

    @Test mutating func inAPipeAreTablesTimelinesAndPlans() async throws {
        let stand = try await TestStand()
        let jobs = try jobsWithAStrictOne()
        let worker = try stand.startWorker("--jobs", jobs.path, "--http-address", "off")
        try await stand.waitUntilRegistered(worker)
        try await stand.enqueue(20, using: &random)
        let failing: Int64 = try await stand.sql.query(
            """
            SELECT l2s.enqueue('strict', repeat('Secret words. ', 3000),
                               metadata => '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}')
            """
        ).single()
        try await eventually("all is done; \(worker.log)") {
            try await stand.count("l2s.queue") == 0
        }

        let top = try await l2s(["top"], on: stand)
        #expect(top.status == 0, "\(top.remarks)")
        for word in ["1 worker", "the queue is empty", "hand-off", "decode", "1 dead letter"] {
            #expect(top.output.contains(word), "\(word) in \(top.output)")
        }
        #expect(!top.output.contains("\u{1b}"))
        let plain = try await l2s(["top"], on: stand, locale: "C")
        let beyondASCII = plain.output.filter { !$0.isASCII }
        #expect(beyondASCII.isEmpty)
        let json = try await l2s(["top", "--json"], on: stand)
        let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
        #expect((object as? [String: Any])?["dead"] as? Int == 1)

        let done: Int64 = try await stand.sql.query(
            "SELECT min(document_id) FROM l2s.result WHERE succeeded"
        ).single()
        let trace = try await l2s(["trace", "\(done)"], on: stand)
        let order = ["enqueued", "claimed", "tokenize", "encode", "decode", "succeeded"]
        let places = order.compactMap { trace.output.range(of: "  \($0)")?.lowerBound }
        #expect(places.count == order.count && places == places.sorted(), "\(trace.output)")
        let failed = try await l2s(["trace", "\(failing)"], on: stand)
        #expect(failed.output.contains("rejected"), "\(failed.output)")
        #expect(failed.output.contains("traceparent 00-0af7651916cd43dd8448eb211c80319c"))
        #expect(try await l2s(["trace", "987654321"], on: stand).status == 1)
        for said in [top, json, trace, failed] { #expect(!said.output.contains("Secret")) }

        let plan = try await l2s(
            ["plan", "--job-type", "summarize", "--by", "2001-01-01"], on: stand)
        #expect(plan.output.contains("measured: "), "\(plan.output)")
        #expect(plan.output.hasPrefix("summarize: nothing is left to do\n"))
        #expect(plan.output.contains("ago"))
        #expect(try await l2s(["plan", "--job-type", "none"], on: stand).status == 2)
        let late = try await l2s(["plan", "--job-type", "summarize", "--by", "25:00"], on: stand)
        #expect(late.status == 2)
        #expect(late.remarks.hasPrefix("l2s: expected a time as PostgreSQL reads it"))
        #expect(!late.remarks.contains("SELECT"))
    }

    @Test(
        .enabled(
            if: Terminal.tmux != nil, "needs tmux: .ci/install-packages --tools"))
    mutating func onATerminalItFitsAndLeavesNothingBehind() async throws {
        let stand = try await TestStand(restartable: true)
        let worker = try stand.startWorker("--http-address", "off")
        try await stand.waitUntilRegistered(worker)
        try await stand.enqueue(60, using: &random)
        let top = try BuiltProgram("l2s").path
        for (columns, rows) in [(80, 24), (200, 50)] {
            let terminal = try await Terminal(
                "echo before; \(top) top; echo after $?", columns: columns, rows: rows,
                environment: [
                    "L2S_DATABASE_URL": stand.database.connectionString, "LC_ALL": "C.UTF-8",
                ])
            let drawn = try await terminal.wait("the screen is drawn") {
                $0.contains("lanes busy") && !$0.contains("before")
            }
            #expect(drawn.split(separator: "\n").allSatisfy { $0.count <= columns })
            try Artifacts.keep(drawn, "top-\(columns)x\(rows).txt")

            try stand.database.crashServer()
            let lost = try await terminal.wait("it says that the database is gone") {
                $0.hasPrefix("the database does not answer, trying again: ")
            }
            // The last overview stays.
            #expect(lost.contains("lanes busy"))
            try Artifacts.keep(lost, "top-\(columns)x\(rows)-no-database.txt")
            try stand.database.startServer()
            try await terminal.wait("it finds the database again") {
                $0.contains("1 worker") && !$0.contains("does not answer")
            }
            try await terminal.type("q")
            try await terminal.wait("the terminal is as before") {
                $0.contains("before") && $0.contains("after 0")
            }
        }
    }

    /// Runs under load, on terminals of all kinds. The captures stay in `.build/artifacts`.
    @Test(.enabled(if: Terminal.tmux != nil, "needs tmux: .ci/install-packages --tools"))
    mutating func everyTerminalGetsWhatItCanShow() async throws {
        let stand = try await TestStand()
        let jobs = try jobsWithAStrictOne()
        let worker = try stand.startWorker("--jobs", jobs.path, "--http-address", "off")
        try await stand.waitUntilRegistered(worker)
        try await stand.sql.query(
            """
            SELECT l2s.enqueue('strict', repeat('Ünlesbar. ', 3000 * n), priority => 9)
            FROM generate_series(1, 3) AS n
            """)
        try await stand.enqueue(600, group: "nächtlich", using: &random)
        try await stand.sql.query("SELECT l2s.pause('translate-en-it-llm')")
        try await eventually("it is busy; \(worker.log)") {
            let loads = "l2s.worker WHERE load ->> 'batch_fill' IS NOT NULL"
            let isLoaded = try await stand.count(loads) == 1
            let finished = try await stand.count("l2s.result")
            return isLoaded && finished > 40
        }
        let l2s = try BuiltProgram("l2s").path
        let url = stand.database.connectionString
        for (name, locale, noColor, columns, rows) in [
            ("utf8", "C.UTF-8", "", 80, 24), ("wide", "C.UTF-8", "", 200, 50),
            ("no-colour", "C.UTF-8", "1", 80, 24), ("ascii", "C", "", 80, 24),
            ("narrow", "C.UTF-8", "", 40, 12),
        ] {
            let terminal = try await Terminal(
                "\(l2s) top", columns: columns, rows: rows,
                environment: ["L2S_DATABASE_URL": url, "LC_ALL": locale, "NO_COLOR": noColor])
            let drawn = try await terminal.wait("the screen is drawn") { $0.contains("job type") }
            // The end of a line is cut off where there is no room.
            #expect(columns < 80 || drawn.contains("paused"), "\(name): \(drawn)")
            #expect(
                columns < 80 || drawn.contains(locale == "C" ? "n?chtlich" : "nächtlich"),
                "\(name): \(drawn)")
            let colored = try await terminal.coloredScreen
            #expect(colored.contains("\u{1b}[") == noColor.isEmpty, "\(name)")
            #expect(locale != "C" || drawn.allSatisfy(\.isASCII), "\(name): \(drawn)")
            #expect(drawn.split(separator: "\n").allSatisfy { $0.count <= columns }, "\(name)")
            #expect(!drawn.contains("Ünlesbar"))
            try Artifacts.keep(drawn, "top-busy-\(name).txt")
            try await terminal.resize(columns: 120, rows: 40)
            try await terminal.wait("it is drawn anew") { $0.contains("3 dead letters") }
        }
        let pipe = try await self.l2s(["top"], on: stand)
        #expect(pipe.output.contains("3 dead letters"))
        try Artifacts.keep(pipe.output, "top-busy-pipe.txt")
    }
}
