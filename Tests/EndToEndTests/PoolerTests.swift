import Foundation
import Postgres
import TestSupport
import Testing

/// Workers and commands through a real pgbouncer that lends sessions for one transaction each.
@Suite(.timeLimit(.minutes(15))) struct PoolerTests {
    /// Runs `body` behind pgbouncer; does nothing where there is none.
    private func behindAPooler(
        _ body: (TestStand, Pooler) async throws -> Void
    ) async throws {
        let stand = try await TestStand()
        guard let pooler = try Pooler(before: stand.database) else { return }
        do {
            try await pooler.ready()
            try await body(stand, pooler)
        } catch {
            try await pooler.stop()
            throw error
        }
        try await pooler.stop()
    }

    private func worker(_ pooler: Pooler, _ more: String...) throws -> WorkerProgram {
        try WorkerProgram(
            [
                "--database-url", pooler.connectionString, "--lease", "2s", "--threads", "1",
                "--decoders", "1", "--decoder-rows", "4", "--http-address", "off",
            ] + more)
    }

    @Test func workersThatPollGiveRightResults() async throws {
        try await behindAPooler { stand, pooler in
            let first = try worker(pooler)
            try await stand.waitUntilRegistered(first)
            var random = SeededRandom(seed: 5)
            try await stand.enqueue(24, using: &random)
            let others = try (0..<2).map { _ in try worker(pooler, "--until-empty") }
            for other in others { #expect(await other.waitForExit().code == 0, "\(other.log)") }
            first.send(SIGTERM)
            #expect(await first.waitForExit().code == 0, "\(first.log)")
            #expect(try await stand.count("l2s.jobs WHERE state = 'succeeded'") == 24)
            #expect(try await stand.count("l2s.attempts") == 24)
            #expect(first.log.contains("no notifications through a pooler, polling"))
            #expect(!first.log.contains("store unavailable"), "\(first.log)")

            // The next client that gets one of the sessions finds it as it was.
            let leaked: Int = try await stand.sql.query(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'
                """
            ).single()
            #expect(leaked == 0)
            let direct = try await sessionState(stand.database.connectionString)
            for _ in 0..<4 {
                #expect(try await sessionState(pooler.connectionString) == direct)
            }
        }
    }

    /// What others have set in the session that a plain client is lent.
    private func sessionState(_ url: String) async throws -> String {
        let psql = try #require(BuiltProgram(installed: "psql"))
        let ending = try await psql.run([
            "-XAt", url, "-c",
            """
            SELECT current_setting('statement_timeout'), current_setting('synchronous_commit'),
                   current_setting('search_path'), current_setting('jit'),
                   (SELECT count(*) FROM pg_listening_channels()),
                   (SELECT count(*) FROM pg_prepared_statements)
            """,
        ])
        #expect(ending.status == 0, "\(ending.remarks)")
        return ending.output
    }

    @Test func aWorkerListensPastThePooler() async throws {
        try await behindAPooler { stand, pooler in
            let worker = try worker(
                pooler, "--listen-url", stand.database.connectionString, "--poll-interval", "1h")
            try await stand.waitUntilRegistered(worker)
            try await eventually("it waits; \(worker.log)") {
                try await stand.count("l2s.worker WHERE idle") == 1
            }
            try await stand.sql.query("SELECT l2s.enqueue('translate-en-it', 'The cat sings.')")
            try await eventually("it was notified; \(worker.log)") {
                try await stand.count("l2s.jobs WHERE state = 'succeeded'") == 1
            }
            #expect(!worker.log.contains("polling"))
        }
    }

    @Test func commandsWorkThroughIt() async throws {
        try await behindAPooler { stand, pooler in
            func l2s(_ arguments: String..., input: String = "") async throws -> String {
                let ending = try await BuiltProgram("l2s").run(
                    arguments, input: input.utf8,
                    environment: ["L2S_DATABASE_URL": pooler.connectionString])
                #expect(ending.status == 0, "\(arguments): \(ending.remarks)")
                return ending.output
            }
            #expect(try await l2s("migrate").contains("already"))
            _ = try await l2s(
                "enqueue", "--job-type", "summarize", "--group", "g", "--lines", "-",
                input: "one line\nanother line\n")
            async let waited = l2s("wait", "--group", "g")
            async let followed = l2s("results", "--group", "g", "--follow")
            let worker = try worker(pooler, "--until-empty")
            #expect(await worker.waitForExit().code == 0, "\(worker.log)")
            #expect(try await waited.contains("2 succeeded"))
            #expect(try await followed.split(separator: "\n").count == 2)
            #expect(try await l2s("top", "--json").contains("\"queues\""))
            #expect(try await l2s("status").contains("summarize"))
            #expect(try await l2s("pause", "summarize") == "paused summarize\n")
            #expect(try await l2s("trace", "1").contains("succeeded"))
            #expect(try await l2s("maintain").count >= 0)
        }
    }
}
