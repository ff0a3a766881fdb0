import Foundation
import Postgres
import TestSupport
import Testing

/// `l2s plan`; the test is the worker.
@Suite struct PlanTests {
    private let database: TestDatabase
    private let sql: DatabaseConnection

    init() async throws {
        database = try await TestDatabase(migrated: false)
        let ending = try await BuiltProgram("l2s").run(
            ["migrate"], environment: ["L2S_DATABASE_URL": database.connectionString])
        #expect(ending.status == 0, "\(ending.remarks)")
        sql = try await database.connect()
    }

    private func plan(_ arguments: String...) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(
            ["plan"] + arguments, environment: ["L2S_DATABASE_URL": database.connectionString])
    }

    private func enqueue(_ jobType: String, _ count: Int, runAt: String = "now") async throws {
        try await sql.query(
            """
            SELECT l2s.enqueue($1, repeat('text', 25), run_at => $3::timestamptz, "group" => 'g')
            FROM generate_series(1, $2)
            """, [.text(jobType), .int(count), .text(runAt)])
    }

    /// Makes it look as if a worker did ten documents a second.
    private func work(_ jobType: String) async throws {
        try await enqueue(jobType, 100)
        try await sql.query(
            """
            WITH done AS (
                DELETE FROM l2s.queue q USING l2s.job_type t
                WHERE t.id = q.job_type AND t.name = $1 AND q.state = 0
                RETURNING q.document_id, q.job_type)
            INSERT INTO l2s.result (
                document_id, job_type, attempt, succeeded, claimed_at, finished_at, output)
            SELECT document_id, job_type, 1, true, now() - interval '10 s', now(), 'text' FROM done
            """, [.text(jobType)])
        try await sql.query(
            "INSERT INTO l2s.worker (host, pid, version) VALUES ('host', 1, '0.1.0')")
    }

    @Test func anEmptyQueueIsDone() async throws {
        let empty = try await plan("--job-type", "summarize", "--by", "2099-01-01")
        #expect(
            empty.output == """
                summarize: nothing is left to do
                no worker is alive: start l2s-worker

                """, "\(empty.remarks)")
        let json = try await plan("--job-type", "summarize", "--json")
        #expect(json.output.contains(#""done_in_s":0"#))
    }

    @Test func withoutRateOrWorkerNothingIsPromised() async throws {
        try await enqueue("summarize", 1)
        let alone = try await plan("--job-type", "summarize", "--by", "2099-01-01")
        #expect(alone.output.contains("summarize: 1 document waits or runs, about 26 tokens\n"))
        #expect(alone.output.contains("no worker is alive"))
        #expect(alone.output.contains("no rate to go by"))
        #expect(alone.output.contains(": none, as it is now"))
        #expect(!alone.output.contains("done in"))
    }

    @Test func aRateTellsTheEnd() async throws {
        try await work("summarize")
        try await enqueue("summarize", 50)
        let plan = try await plan("--job-type", "summarize", "--by", "2099-01-01")
        #expect(plan.output.contains("measured: 10.0 documents/s, 260 tokens/s"), "\(plan.output)")
        #expect(plan.output.contains("done in 5.0 s, at "), "\(plan.output)")
        #expect(plan.output.contains(": 50 of 50 documents"), "\(plan.output)")
        // A delayed document is not done before its time.
        try await enqueue("summarize", 1, runAt: "2100-01-01")
        let delayed = try await self.plan("--job-type", "summarize", "--by", "2099-01-01", "--json")
        struct Plan: Decodable {
            let done_by_then, delayed: Int
            let done_in_s, left_s: Double
        }
        let found = try JSONDecoder().decode(Plan.self, from: Data(delayed.output.utf8))
        #expect((found.done_by_then, found.delayed) == (50, 1))
        #expect(found.done_in_s > found.left_s)
        try await enqueue("summarize", 1, runAt: "2999-01-01")
        let never = try await self.plan("--job-type", "summarize", "--by", "2099-01-01", "--json")
        #expect(try JSONDecoder().decode(Plan.self, from: Data(never.output.utf8)).delayed == 2)
        try await sql.query("SELECT l2s.pause('summarize')")
        let paused = try await self.plan("--job-type", "summarize")
        #expect(paused.output.contains("paused, so nothing of it is claimed: see l2s resume"))
        #expect(!paused.output.contains("done in"))
    }

    @Test func aGroupAndATypeNarrowEachOther() async throws {
        try await enqueue("summarize", 2)
        try await enqueue("translate-en-it", 3)
        try await sql.query("SELECT l2s.enqueue('summarize', 'of no group')")
        let group = try await plan("--group", "g")
        #expect(group.output.contains("summarize: 2 documents"), "\(group.output)")
        #expect(group.output.contains("\n\ntranslate-en-it: 3 documents"), "\(group.output)")
        let both = try await plan("--job-type", "translate-en-it", "--group", "g")
        #expect(both.output.hasPrefix("translate-en-it: 3 documents"), "\(both.output)")
        #expect(!both.output.contains("summarize"))
        let done = try await plan("--job-type", "summarize-llm", "--group", "g")
        #expect(done.status == 0 && done.remarks == "group g: nothing is left to do\n")
        for (arguments, words) in [
            (["--group", "x"], "no document was ever enqueued with group x"),
            (["--job-type", "x", "--group", "g"], "no job type is called x"),
            ([], "expected --job-type, --group or both"),
        ] {
            let refused = try await BuiltProgram("l2s").run(
                ["plan"] + arguments,
                environment: ["L2S_DATABASE_URL": database.connectionString])
            #expect(refused.status != 0 && refused.remarks.contains(words), "\(refused.remarks)")
        }
    }
}
