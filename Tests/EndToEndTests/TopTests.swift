import Foundation
import Postgres
import TestSupport
import Testing

/// `l2s top`, `trace` and `plan` beside a worker at work.
@Suite(.serialized, .timeLimit(.minutes(3))) struct TopTests {
    private var random = SeededGenerator(seed: 6666)

    private func l2s(
        _ arguments: [String], on bench: Bench, locale: String = "C.UTF-8"
    ) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(
            arguments,
            environment: [
                "L2S_DATABASE_URL": bench.database.connectionString, "LC_ALL": locale,
            ])
    }

    @Test mutating func inAPipeAreTablesTimelinesAndPlans() async throws {
        let bench = try await Bench()
        let jobs = try jobsWithAStrictOne()
        let worker = try bench.startWorker("--jobs", jobs.path, "--http-address", "off")
        try await bench.waitUntilRegistered(worker)
        try await bench.enqueue(20, using: &random)
        let failing: Int64 = try await bench.sql.query(
            """
            SELECT l2s.enqueue('strict', repeat('Secret words. ', 3000),
                               metadata => '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}')
            """
        ).single()
        try await eventually("all is done; \(worker.log)") {
            try await bench.count("l2s.queue") == 0
        }

        let top = try await l2s(["top"], on: bench)
        #expect(top.status == 0, "\(top.remarks)")
        for word in ["1 worker", "the queue is empty", "hand-off", "decode", "1 dead letter"] {
            #expect(top.output.contains(word), "\(word) in \(top.output)")
        }
        #expect(!top.output.contains("\u{1b}"))
        let plain = try await l2s(["top"], on: bench, locale: "C")
        let beyondASCII = plain.output.filter { !$0.isASCII }
        #expect(beyondASCII.isEmpty)
        let json = try await l2s(["top", "--json"], on: bench)
        let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
        #expect((object as? [String: Any])?["dead"] as? Int == 1)

        let done: Int64 = try await bench.sql.query(
            "SELECT min(document_id) FROM l2s.result WHERE succeeded"
        ).single()
        let trace = try await l2s(["trace", "\(done)"], on: bench)
        let order = ["enqueued", "claimed", "tokenize", "encode", "decode", "succeeded"]
        let places = order.compactMap { trace.output.range(of: "  \($0)")?.lowerBound }
        #expect(places.count == order.count && places == places.sorted(), "\(trace.output)")
        let failed = try await l2s(["trace", "\(failing)"], on: bench)
        #expect(failed.output.contains("rejected"), "\(failed.output)")
        #expect(failed.output.contains("traceparent 00-0af7651916cd43dd8448eb211c80319c"))
        #expect(try await l2s(["trace", "987654321"], on: bench).status == 1)
        for said in [top, json, trace, failed] { #expect(!said.output.contains("Secret")) }

        let plan = try await l2s(["plan", "--job", "summarize", "--by", "2001-01-01"], on: bench)
        #expect(plan.output.contains("measured: "), "\(plan.output)")
        #expect(plan.output.contains("done: nothing waits"))
        #expect(plan.output.contains("ago"))
        #expect(try await l2s(["plan", "--job", "nonsense"], on: bench).status == 1)
    }

    @Test(
        .enabled(
            if: Terminal.tmux != nil, "needs tmux: .ci/install-packages --tools"))
    mutating func onATerminalItFitsAndLeavesNothingBehind() async throws {
        let bench = try await Bench(restartable: true)
        let worker = try bench.startWorker("--http-address", "off")
        try await bench.waitUntilRegistered(worker)
        try await bench.enqueue(60, using: &random)
        let top = try BuiltProgram("l2s").path
        for (columns, rows) in [(80, 24), (200, 50)] {
            let terminal = try await Terminal(
                "echo before; \(top) top; echo after $?", columns: columns, rows: rows,
                environment: [
                    "L2S_DATABASE_URL": bench.database.connectionString, "LC_ALL": "C.UTF-8",
                ])
            let drawn = try await terminal.wait("the screen is drawn") {
                $0.contains("lanes busy") && !$0.contains("before")
            }
            #expect(drawn.split(separator: "\n").allSatisfy { $0.count <= columns })
            try Artifacts.keep(drawn, "top-\(columns)x\(rows).txt")

            try bench.database.restartServer()
            try await terminal.wait("it finds the database again") {
                $0.contains("1 worker") && !$0.contains("does not answer")
            }
            try await terminal.type("q")
            try await terminal.wait("the terminal is as before") {
                $0.contains("before") && $0.contains("after 0")
            }
        }
    }
}
