import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Leases that ran out while nobody reached the server: no document is charged for that.
@Suite struct OutageTests {
    private let queue: QueueFixture

    init() async throws {
        queue = try await QueueFixture()
        // The server of the tests has just started, for which it spares leases, too.
        try await queue.sql.query("SET allow_system_table_mods = on")
        try await queue.sql.query(
            """
            CREATE OR REPLACE FUNCTION pg_catalog.pg_postmaster_start_time() RETURNS timestamptz
            LANGUAGE sql STABLE AS $$SELECT '2000-01-01'::timestamptz$$
            """)
    }

    /// The last time that a worker was heard of is so long ago, and meanwhile all leases ran out.
    private func pass(_ silence: String) async throws {
        try await queue.sql.query(
            "UPDATE l2s.contact SET heard_at = clock_timestamp() - $1::interval", [.text(silence)])
        try await queue.sql.query(
            "UPDATE l2s.lease SET expires_at = clock_timestamp() - interval '1 second'")
    }

    /// Whoever comes back first does not take the documents of the others, nor its own.
    @Test func afterFourOutagesADocumentIsInItsFirstAttempt() async throws {
        let (worker, first) = (try await queue.worker(), try await queue.worker())
        let ids = try await queue.enqueue(2)
        let claim = try #require(try await worker.claim(lease: .seconds(3_600)))
        for _ in 1...4 {
            try await pass("2 hours")
            #expect(try await first.store.rescueExpired().leases == 0)
            #expect(try await worker.store.rescueExpired().leases == 0)
            let reply = try await worker.store.renew(
                worker.id, leases: [claim.lease], draining: false)
            #expect(reply.owned == [claim.lease])
        }
        #expect(try await worker.complete(claim) == CompletionReceipt(recorded: ids))
        #expect(try await queue.count("l2s.attempt_error") == 0)
    }

    /// Its worker did not come back.
    @Test func aLeaseIsTakenBackOnceItHadItsFullTimeAgain() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("2 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        try await queue.sql.query("UPDATE l2s.contact SET since = since - interval '3599 seconds'")
        #expect(try await other.store.rescueExpired().leases == 0)
        try await queue.sql.query("UPDATE l2s.contact SET since = since - interval '1 second'")
        #expect(try await other.store.rescueExpired().suspects == 2)
    }

    /// Their workers renewed them before and after.
    @Test func aShortSilenceSparesNoLease() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("29 minutes")
        #expect(try await other.store.rescueExpired().leases == 1)
    }

    /// A longer one counts until its leases have had their time.
    @Test func aShortSilenceAfterALongOneSparesTheSameLeases() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("2 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        try await pass("5 seconds")
        #expect(try await other.store.rescueExpired().leases == 0)
        #expect(try await queue.count("l2s.contact WHERE silent >= interval '2 hours'") == 1)
    }

    /// As after a failover to a server whose clock is behind.
    @Test func aClockThatWentBackIsASilence() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("-2 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        #expect(try await queue.count("l2s.contact WHERE heard_at <= clock_timestamp()") == 1)
    }

    /// As of a server that stood still between the two calls of a worker.
    @Test func nothingIsTakenBackUnlessWorkersAreHeard() async throws {
        let worker = try await queue.worker()
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("2 hours")
        #expect(try await queue.sql.query("SELECT rescued_leases FROM l2s.rescue()").single() == 0)
    }
}
