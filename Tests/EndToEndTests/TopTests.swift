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
            if: BuiltProgram(installed: "tmux") != nil, "needs tmux: .ci/install-packages --tools"))
    mutating func onATerminalItFitsAndLeavesNothingBehind() async throws {
        let bench = try await Bench(restartable: true)
        let worker = try bench.startWorker("--http-address", "off")
        try await bench.waitUntilRegistered(worker)
        try await bench.enqueue(60, using: &random)
        let folder = try ScratchFolder()
        let program = try #require(BuiltProgram(installed: "tmux"))
        func tmux(_ arguments: String...) async throws -> String {
            let ending = try await program.run(
                ["-S", folder.path + "/socket", "-f", "/dev/null"] + arguments,
                environment: [
                    "L2S_DATABASE_URL": bench.database.connectionString, "LC_ALL": "C.UTF-8",
                ])
            return ending.output
        }
        let top = try BuiltProgram("l2s").path
        for (columns, rows) in [(80, 24), (200, 50)] {
            _ = try await tmux(
                "new-session", "-d", "-s", "top", "-x", "\(columns)", "-y", "\(rows)",
                "echo before; \(top) top; echo after $?; read line")
            var pane = ""
            try await eventually("the screen is drawn: \(pane)") {
                pane = try await tmux("capture-pane", "-p", "-t", "top")
                return pane.contains("lanes busy") && !pane.contains("before")
            }
            #expect(pane.split(separator: "\n").allSatisfy { $0.count <= columns })
            let kept = try Artifacts.path("top-\(columns)x\(rows).txt")
            try pane.write(toFile: kept, atomically: true, encoding: .utf8)

            try bench.database.restartServer()
            try await eventually("it finds the database again: \(pane)") {
                pane = try await tmux("capture-pane", "-p", "-t", "top")
                return pane.contains("1 worker") && !pane.contains("does not answer")
            }
            _ = try await tmux("send-keys", "-t", "top", "q")
            try await eventually("the terminal is as before: \(pane)") {
                pane = try await tmux("capture-pane", "-p", "-t", "top")
                return pane.contains("before") && pane.contains("after 0")
            }
            _ = try await tmux("kill-session", "-t", "top")
        }
    }
}
