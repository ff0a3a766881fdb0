import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Job types whose documents kill their workers.
@Suite struct SelfPauseTests {
    /// Works until nothing can be claimed. A worker that gets one of `poison` goes silent.
    private func work(
        _ queue: QueueFixture, poison: Set<Int64>
    ) async throws -> (dead: Int, paused: [String]) {
        var (dead, paused): (Int, [String]) = (0, [])
        while true {
            let worker = try await queue.worker()
            var isCrashed = false
            while !isCrashed, let claim = try await worker.claim() {
                isCrashed = claim.documents.contains { poison.contains($0.id) }
                if !isCrashed { try await worker.complete(claim) }
            }
            guard isCrashed else { return (dead, paused) }
            try await queue.expireLeases()
            let rescued = try await worker.store.rescueExpired()
            dead += rescued.dead
            paused += rescued.paused
            await worker.store.close()
        }
    }

    @Test func aTypeThatOnlyCrashesPausesItself() async throws {
        let queue = try await QueueFixture()
        let client = QueueClient(queue.sql)
        let crashing = try await queue.enqueue(40)
        try await queue.enqueue(20, "translate")
        let ended = try await work(queue, poison: Set(crashing))
        #expect(ended.dead == 5)
        #expect(ended.paused == ["summarize"])
        #expect(try await queue.count("l2s.queue") == 35)
        #expect(try await queue.count("l2s.jobs WHERE state = 'succeeded'") == 20)
        let status = try #require(try await client.status().first { $0.name == "summarize" })
        #expect(status.paused)
        let reason = try #require(status.pausedBecause)
        #expect(reason.contains("crashed their workers one after the other"))

        // Resumed too early, it goes on with one document and no more.
        #expect(try await client.setPaused(false, jobType: "summarize"))
        #expect(try await client.status().allSatisfy { $0.pausedBecause == nil })
        #expect(try await work(queue, poison: Set(crashing)).dead == 1)
        // When the cause is mended, all documents finish.
        #expect(try await client.setPaused(false, jobType: "summarize"))
        #expect(try await work(queue, poison: []).paused == [])
        #expect(try await queue.count("l2s.queue") == 0)
        #expect(try await client.retryDeadLetters(jobType: "summarize", group: nil) == 6)
        #expect(try await work(queue, poison: []).dead == 0)
        #expect(try await queue.count("l2s.jobs WHERE state = 'succeeded'") == 60)
    }

    @Test func poisonAmongOthersPausesNothing() async throws {
        let queue = try await QueueFixture()
        let ids = try await queue.enqueue(80)
        let poison = Set(stride(from: 3, to: 80, by: 11).map { ids[$0] })
        let ended = try await work(queue, poison: poison)
        #expect(ended.dead == poison.count)
        #expect(ended.paused == [])
        #expect(try await queue.count("l2s.jobs WHERE state = 'succeeded'") == 80 - poison.count)
    }

    /// Suspects are tried in random order. In less than one of 4,000 runs, the five come before all
    /// eleven others.
    @Test func poisonSideBySidePausesNothing() async throws {
        let queue = try await QueueFixture()
        let ids = try await queue.enqueue(80)
        let ended = try await work(queue, poison: Set(ids[0..<5]))
        #expect(ended.dead == 5)
        #expect(ended.paused == [])
        #expect(try await queue.count("l2s.jobs WHERE state = 'succeeded'") == 75)
    }

    @Test func whatIsUnfinishedIsDueScheduledOrPaused() async throws {
        let queue = try await QueueFixture(backoff: .seconds(3600))
        let worker = try await queue.worker()
        try await queue.enqueue(2)
        let claim = try #require(try await worker.claim())
        _ = try await worker.store.complete(
            worker.id, claim.lease, [.fixture(claim.documents[0].id, .failed(reason: "again"))])
        try await queue.sql.query(
            "SELECT l2s.enqueue('summarize', 'later', run_at => now() + interval '1 day')")
        try await queue.enqueue(3, "translate")
        func unfinished() async throws -> Unfinished {
            try await worker.store.unfinished(["summarize", "translate"])
        }
        #expect(try await unfinished() == Unfinished(due: 5, scheduled: 1))
        let client = QueueClient(queue.sql)
        #expect(try await client.setPaused(true, jobType: "translate"))
        #expect(try await unfinished() == Unfinished(due: 2, scheduled: 1, paused: 3))
        // Running documents are finished, even of a paused queue.
        #expect(try await client.setPaused(true, jobType: nil))
        #expect(try await unfinished() == Unfinished(due: 1, scheduled: 1, paused: 4))
    }
}
