import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct CancelTests {
    @Test func waitingDocumentsEndAtOnceAndRunningOnesWithTheirWorker() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(6)
        let claim = try #require(try await worker.claim(4))
        #expect(try await queue.cancel([ids[0], ids[1], ids[2], ids[5], 999]) == 4)
        #expect(
            try await queue.states() == [
                "cancelling", "cancelling", "cancelling", "running", "waiting", "cancelled",
            ])
        #expect(try await queue.cancel([ids[0], ids[5]]) == 0)

        let reply = try await worker.store.renew(worker.id, leases: [claim.lease], draining: false)
        #expect(reply.owned == [claim.lease])
        #expect(reply.cancelled == [claim.lease: Set(ids[0...2])])
        // One had not begun, one failed and one succeeded in the meantime.
        #expect(try await worker.store.release(worker.id, claim.lease, [ids[0]]) == 1)
        let receipt = try await worker.store.complete(
            worker.id, claim.lease,
            [
                .fixture(ids[1], .failed(reason: "x")), .fixture(ids[2], .done),
                .fixture(ids[3], .done),
            ])
        #expect(receipt.recorded == [ids[3]])
        #expect(Set(receipt.cancelled) == [ids[1], ids[2]])
        #expect(
            try await queue.states() == [
                "cancelled", "cancelled", "cancelled", "succeeded", "waiting", "cancelled",
            ])
        #expect(try await queue.count("l2s.result WHERE cancelled AND output IS NULL") == 4)
        #expect(try await queue.count("l2s.lease") == 0)
        #expect(
            try await queue.count("l2s.batch WHERE succeeded = 1 AND cancelled = 3 AND failed = 0")
                == 1)
        // The answer was lost, so the worker asks again.
        #expect(
            try await worker.store.complete(worker.id, claim.lease, [.fixture(ids[2], .done)])
                == CompletionReceipt(cancelled: [ids[2]]))
    }

    /// The completion waits for the lock of the cancellation. Then it meets a row that its snapshot
    /// does not see.
    @Test func aCompletionThatWaitsForACancellationLeavesNothingBehind() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(8)
        let claim = try #require(try await worker.claim())
        let other = try await queue.database.connect()
        try await other.query("BEGIN")
        try await other.query("SELECT l2s.cancel($1)", [.int(ids[3])])
        async let completion = worker.store.complete(
            worker.id, claim.lease,
            ids.map { .fixture($0, $0 == ids[0] ? .rejected(reason: "x") : .done) })
        try await eventually("the completion waits") {
            try await queue.count(
                """
                pg_stat_activity WHERE datname = current_database()
                AND application_name = 'fixture worker' AND wait_event_type = 'Lock'
                """) > 0
        }
        try await other.query("COMMIT")
        #expect(try await completion.cancelled == [ids[3]])
        #expect(try await queue.count("l2s.queue") == 0)
        #expect(try await queue.count("l2s.lease") == 0)
        #expect(try await queue.count("l2s.result") == 8)
        #expect(try await QueueClient(queue.sql).retry([ids[3]]) == 1)
    }

    @Test func theKeyOfACancelledDocumentIsFree() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        func enqueue() async throws -> Int64 {
            try await queue.sql.query("SELECT l2s.enqueue('summarize', 'x', dedupe_key => 'k')")
                .single()
        }
        let first = try await enqueue()
        #expect(try await enqueue() == first)
        #expect(try await queue.cancel([first]) == 1)
        let second = try await enqueue()
        #expect(second != first)
        // The same holds for a running document.
        let claim = try #require(try await worker.claim())
        #expect(try await queue.cancel([second]) == 1)
        _ = try await worker.complete(claim)
        #expect(try await enqueue() != second)
    }

    @Test func aDocumentCancelledUnderADeadWorkerEnds() async throws {
        let queue = try await QueueFixture()
        let (dead, other) = (try await queue.worker(), try await queue.worker())
        let ids = try await queue.enqueue(2)
        _ = try await dead.claim()
        #expect(try await queue.cancel([ids[0]]) == 1)
        try await queue.expireLeases()
        let summary = try await other.store.rescueExpired()
        #expect(summary == RescueSummary(leases: 1, suspects: 1, dead: 0))
        #expect(try await queue.states() == ["cancelled", "waiting"])
    }

    @Test func deadLettersRunAgainAndKeepTheirHistory() async throws {
        let queue = try await QueueFixture(attempts: 2)
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(2)
        for attempt in 1...2 {
            let claim = try #require(try await worker.claim())
            let receipt = try await worker.complete(claim, .failed(reason: "no \(attempt)"))
            #expect((attempt == 1 ? receipt.retried : receipt.recorded) == ids)
            _ = try await worker.store.promoteDelayed()
        }
        #expect(try await queue.states() == ["failed", "failed"])
        #expect(
            try await queue.sql.query("SELECT l2s.retry($1, 999)", [.int(ids[0])]).single() == 1)
        #expect(try await queue.states() == ["waiting", "failed"])
        let claim = try #require(try await worker.claim())
        #expect(claim.documents.map(\.attempt) == [3])
        try await worker.complete(claim)
        #expect(try await queue.states() == ["succeeded", "failed"])
        let history = try await queue.sql.query(
            """
            SELECT attempt || ' ' || outcome || ' ' || coalesce(error, '-') || ' ' || encode_ms AS row
            FROM l2s.attempts WHERE id = $1 ORDER BY attempt
            """, [.int(ids[0])])
        #expect(
            try history.map { try $0.value("row", as: String.self) } == [
                "1 failed no 1 0.03", "2 failed no 2 0.03", "3 succeeded - 0.03",
            ])
        #expect(try await queue.sql.query("SELECT l2s.retry($1)", [.int(ids[0])]).single() == 0)
    }
}

extension QueueFixture {
    func cancel(_ ids: [Int64]) async throws -> Int {
        try await QueueClient(sql).cancel(ids)
    }

    func states() async throws -> [String] {
        try await jobs().map { try $0.value("state") }
    }
}
