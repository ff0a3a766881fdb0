import Jobs
import Postgres
import PostgresJobs
import Testing

@Suite struct LeaseTests {
    @Test func aStaleLeaseWritesNothing() async throws {
        let queue = try await QueueFixture()
        let (zombie, heir) = (try await queue.worker(), try await queue.worker())
        let ids = try await queue.enqueue(2)
        let lost = try #require(try await zombie.claim())
        try await queue.expireLeases()
        #expect(
            try await heir.store.rescueExpired() == RescueSummary(leases: 1, suspects: 2, dead: 0))
        let taken = try #require(try await heir.claim())
        #expect(taken.documents.map(\.id) == ids)
        #expect(taken.documents.map(\.attempt) == [2, 2])

        let refused = try await zombie.complete(lost, .succeeded(output: "stale", tokens: []))
        #expect(refused == CompletionReceipt(stale: ids))
        #expect(try await zombie.store.release(zombie.id, lost.lease, ids) == 0)
        #expect(
            try await zombie.store.renew(zombie.id, leases: [lost.lease], draining: false).owned
                == [])

        #expect(try await heir.complete(taken) == CompletionReceipt(recorded: ids))
        #expect(try await zombie.complete(lost) == CompletionReceipt(stale: ids))
        #expect(try await queue.count("l2s.result WHERE output = 'out'") == 2)
        #expect(try await queue.count("l2s.batch WHERE outcome = 'expired'") == 1)
    }

    @Test func aRenewedLeaseIsNotRescued() async throws {
        let queue = try await QueueFixture()
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(1)
        let claim = try #require(try await worker.claim(lease: .milliseconds(1)))
        try await queue.sql.query("UPDATE l2s.lease SET duration = '1 hour'")
        let reply = try await worker.store.renew(
            worker.id, leases: [claim.lease, LeaseID(1)], draining: true)
        #expect(reply.owned == [claim.lease])
        #expect(
            try await other.store.renew(other.id, leases: [claim.lease], draining: false).owned
                == [])
        #expect(try await other.store.rescueExpired().leases == 0)
        #expect(try await queue.count("l2s.worker WHERE draining") == 1)
        #expect(try await worker.complete(claim).recorded.count == 1)
    }

    @Test func aLeaseOfAnotherWorkerIsNotWrittenAbout() async throws {
        let queue = try await QueueFixture()
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        let ids = try await queue.enqueue(4)
        let claim = try #require(try await worker.claim())
        for outcome in [Outcome.done, .failed(reason: "forged")] {
            let receipt = try await other.complete(claim, outcome)
            #expect(receipt == CompletionReceipt(stale: ids))
        }
        #expect(try await other.store.release(other.id, claim.lease, ids) == 0)
        #expect(try await queue.count("l2s.queue WHERE state = 1 AND errors = 0") == 4)

        // The other worker is not told what became of the documents either.
        #expect(try await worker.complete(claim).recorded == ids)
        #expect(try await other.complete(claim) == CompletionReceipt(stale: ids))
        try await queue.sql.query(
            "SELECT l2s.note_agreement($1, $2, $3)",
            [
                .int(other.id.value), .int(claim.lease.value),
                .text("[{\"id\": \(ids[0]), \"agreement\": 0.5}]"),
            ])
        #expect(try await queue.count("l2s.result WHERE agreement IS NOT NULL") == 0)
    }

    @Test func aReleaseChargesNothing() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(3)
        let claim = try #require(try await worker.claim())
        _ = try await worker.store.complete(worker.id, claim.lease, [.fixture(ids[0], .done)])
        #expect(try await worker.store.release(worker.id, claim.lease, ids) == 2)
        #expect(try await queue.count("l2s.lease") == 0)
        #expect(
            try await worker.complete(claim)
                == CompletionReceipt(recorded: [ids[0]], stale: Array(ids[1...])))
        let again = try #require(try await worker.claim())
        #expect(again.documents.map(\.id) == Array(ids[1...]))
        #expect(again.documents.map(\.attempt) == [1, 1])
        #expect(again.lengthClass == claim.lengthClass)
    }

    @Test func aPoisonDocumentIsIsolatedAndTheInnocentLive() async throws {
        let queue = try await QueueFixture()
        let ids = try await queue.enqueue(256)
        let poison = ids[100]
        var crashes = 0
        var sizes: [LengthClass: Int] = [:]
        // The worker of a batch with the poison goes silent, and a new worker takes its place.
        while try await queue.count("l2s.queue") > 0 {
            let worker = try await queue.worker()
            while let claim = try await worker.claim() {
                sizes[claim.lengthClass] = max(sizes[claim.lengthClass] ?? 0, claim.documents.count)
                guard !claim.documents.contains(where: { $0.id == poison }) else {
                    crashes += 1
                    break
                }
                try await worker.complete(claim)
            }
            await worker.store.close()
            try await queue.expireLeases()
            _ = try await FixtureWorker(queue.database).store.rescueExpired()
        }
        #expect(crashes == 4)
        #expect(sizes == [.upTo128: 256, .suspects: 16, .alone: 1])
        #expect(try await queue.count("l2s.jobs WHERE state = 'succeeded'") == 255)
        let dead = try await queue.sql.query("SELECT * FROM l2s.jobs WHERE state = 'failed'")
        #expect(dead.count == 1)
        #expect(try dead.first?.value("id") == poison)
        #expect(try dead.first?.value("attempt") == 4)
        #expect(
            try dead.first?.value("error", as: String.self).hasPrefix("4 workers went silent")
                == true)
    }

    @Test func suspectsMeetNothingElse() async throws {
        let queue = try await QueueFixture()
        let (crashed, worker) = (try await queue.worker(), try await queue.worker())
        let ids = try await queue.enqueue(20)
        _ = try await crashed.claim(4)
        try await queue.expireLeases()
        let busy = try #require(try await worker.claim(1))
        #expect(busy.documents.map(\.id) == [ids[4]])
        #expect(try await worker.store.rescueExpired().suspects == 4)
        // Suspects are due first, so a busy worker has to wait and is not told that there is work.
        #expect(try await worker.claim() == nil)
        #expect(
            try await worker.store.waitForWork(
                worker.id, jobTypes: ["summarize"], timeout: .zero) == false)
        try await worker.complete(busy)
        let suspects = try #require(try await worker.claim())
        #expect(suspects.lengthClass == .suspects)
        #expect(try await worker.claim() == nil)
        try await worker.complete(suspects)
        #expect(try await worker.claim()?.documents.count == 15)
    }

    @Test func leasesAreSparedAfterAServerStart() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(1)
        _ = try await worker.claim(lease: .seconds(100_000))
        try await queue.sql.query("UPDATE l2s.lease SET expires_at = '-infinity'")
        #expect(try await worker.store.rescueExpired().leases == 0)
    }
}
