import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct WaitTests {
    @Test func producersNotifyOnlyWhileAWorkerWaits() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let listener = try await queue.database.connect()
        try await listener.listen(to: "l2s_work")
        func notified() async throws -> Bool {
            // What was committed before this query has arrived with its answer.
            try await listener.query("SELECT 1")
            return try await listener.waitForNotification(timeout: .zero)
        }

        try await queue.enqueue(1)
        #expect(try await notified() == false)
        let claim = try #require(try await worker.claim())
        try await worker.complete(claim)
        #expect(
            try await worker.store.waitForWork(
                worker.id, jobTypes: ["summarize"], timeout: .zero) == false)
        #expect(try await queue.count("l2s.worker WHERE idle") == 1)
        try await queue.enqueue(100)
        #expect(try await notified())
        _ = try await worker.claim()
        #expect(try await queue.count("l2s.worker WHERE idle") == 0)
        try await queue.enqueue(1)
        #expect(try await notified() == false)
    }

    @Test func workThatIsThereEndsTheWaitAtOnce() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(1, "translate")
        func wait(_ jobTypes: [String], _ timeout: Duration) async throws -> Bool {
            try await worker.store.waitForWork(worker.id, jobTypes: jobTypes, timeout: timeout)
        }
        #expect(try await wait(["summarize", "translate"], .seconds(TestDatabase.patience)))
        #expect(try await wait(["summarize"], .zero) == false)
    }

    @Test func enqueueAndInterruptEndTheWait() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        async let woken = worker.store.waitForWork(
            worker.id, jobTypes: ["summarize"], timeout: .seconds(TestDatabase.patience))
        // Only the next poll would find the document of a producer that began before.
        while try await queue.count("l2s.worker WHERE idle") == 0 {}
        try await queue.enqueue(1)
        #expect(try await woken)
        // This is another worker, which no notification of the enqueue above can have reached.
        let other = try await queue.worker()
        other.store.interruptWait()
        #expect(
            try await other.store.waitForWork(
                other.id, jobTypes: ["translate"], timeout: .seconds(TestDatabase.patience))
                == false)
    }

    @Test func aWorkerThatDiedWaitingIsForgotten() async throws {
        let queue = try await QueueFixture()
        let (dead, other) = (try await queue.worker(), try await queue.worker())
        _ = try await dead.store.waitForWork(dead.id, jobTypes: ["summarize"], timeout: .zero)
        try await queue.sql.query(
            "UPDATE l2s.worker SET seen_at = seen_at - interval '2 minutes' WHERE id = $1",
            [.int(dead.id.value)])
        #expect(try await QueueClient(queue.sql).workers().map(\.id) == [other.id])
        _ = try await other.store.rescueExpired()
        #expect(try await queue.count("l2s.worker WHERE idle") == 0)
    }

    @Test func aRetiredWorkerIsNoLongerListed() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let client = QueueClient(queue.sql)
        #expect(try await client.workers().map(\.id) == [worker.id])
        try await worker.store.retire(worker.id)
        #expect(try await client.workers().isEmpty)
    }
}
