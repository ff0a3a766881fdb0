import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct RecoveryTests {
    @Test func aCrashOfTheServerLosesNothing() async throws {
        let queue = try await QueueFixture(try await .onOwnServer())
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(4)
        let claim = try #require(try await worker.claim())
        _ = try await worker.store.complete(claim.lease, [.fixture(ids[0], .done)])
        _ = try await worker.store.renew(worker.id, leases: [], draining: false)
        #expect(
            try await worker.store.waitForWork(
                worker.id, jobTypes: ["translate"], timeout: .zero) == false)

        try queue.database.restartServer()

        await #expect(throws: JobStoreError.self) {
            try await worker.store.complete(claim.lease, [])
        }
        let reply = try await insist {
            try await worker.store.renew(worker.id, leases: [claim.lease], draining: false)
        }
        #expect(reply.owned == [claim.lease])
        // The first is repeated, as after a commit whose answer was lost.
        var receipt = try await insist { try await worker.complete(claim) }
        receipt.recorded.sort()
        #expect(receipt == CompletionReceipt(recorded: ids))
        _ = try await insist {
            try await worker.store.waitForWork(
                worker.id, jobTypes: ["translate"], timeout: .zero)
        }
        let sql = try await queue.database.connect()
        #expect(try await sql.query("SELECT count(*) FROM l2s.result").single() == 4)
        #expect(try await sql.query("SELECT count(*) FROM l2s.queue").single() == 0)
    }

    @Test func anUnreachableServerIsSaidToBeUnavailable() async throws {
        let store = PostgresJobStore(
            try ConnectionSettings("host=/nowhere", applicationName: "test"))
        let error = await #expect(throws: JobStoreError.self) { try await store.promoteDelayed() }
        guard case .unavailable(let reason) = error else {
            Issue.record("expected unavailable, got \(String(describing: error))")
            return
        }
        #expect(reason.contains("cannot connect to PostgreSQL (host /nowhere)"))
    }
}
