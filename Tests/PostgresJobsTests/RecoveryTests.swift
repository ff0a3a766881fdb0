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
        _ = try await worker.store.complete(worker.id, claim.lease, [.fixture(ids[0], .done)])
        _ = try await worker.store.renew(worker.id, leases: [], draining: false)
        #expect(
            try await worker.store.waitForWork(
                worker.id, jobTypes: ["translate"], timeout: .zero) == false)

        try queue.database.restartServer()

        let reply = try await insist {
            try await worker.store.renew(worker.id, leases: [claim.lease], draining: false)
        }
        #expect(reply.owned == [claim.lease])
        // The first document is completed again, as after a commit whose answer was lost.
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

    /// Servers and proxies end idle sessions. That is no outage, and no call is lost.
    @Test func aSessionThatWasEndedIsReplacedAtOnce() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(1)
        try await queue.sql.query(
            """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'fixture worker'
            """)
        #expect(try await worker.claim()?.documents.count == 1)
    }

    /// A failover that moves an address may leave sessions on a server that has become read-only.
    @Test func aSessionThatOnlyReadsIsReplaced() async throws {
        let queue = try await QueueFixture()
        let name = queue.database.name
        try await queue.sql.query("ALTER DATABASE \(name) SET default_transaction_read_only = on")
        let worker = try await queue.untriedWorker()
        try await queue.enqueue(1)
        let error = await #expect(throws: JobStoreError.self) { try await worker.claim() }
        #expect(error?.description.contains("target_session_attrs=read-write") == true)
        try await queue.sql.query("ALTER DATABASE \(name) RESET default_transaction_read_only")
        #expect(try await worker.claim()?.documents.count == 1)
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
