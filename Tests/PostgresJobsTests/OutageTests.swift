import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Leases that ran out while nobody reached the server. This counts as no attempt of a document.
@Suite struct OutageTests {
    private let queue: QueueFixture

    init() async throws {
        queue = try await QueueFixture()
        // Leases are also spared after a start of the server, and the tests' server has just
        // started.
        try await queue.sql.query("SET allow_system_table_mods = on")
        try await queue.sql.query(
            """
            CREATE OR REPLACE FUNCTION pg_catalog.pg_postmaster_start_time() RETURNS timestamptz
            LANGUAGE sql STABLE AS $$SELECT '2000-01-01'::timestamptz$$
            """)
    }

    /// Lets so much time pass since a worker was last heard of. Meanwhile all leases run out.
    private func pass(_ silence: String) async throws {
        try await queue.sql.query(
            "UPDATE l2s.contact SET heard_at = clock_timestamp() - $1::interval", [.text(silence)])
        try await queue.sql.query(
            "UPDATE l2s.lease SET expires_at = clock_timestamp() - interval '1 second'")
    }

    /// The worker that comes back first takes back neither the leases of others nor its own.
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

    /// The worker of this lease does not come back.
    @Test func aLeaseIsTakenBackOnceItHadItsFullTimeAgain() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("2 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        try await queue.sql.query(
            "UPDATE l2s.silence SET ended_at = ended_at - interval '50 minutes'")
        #expect(try await other.store.rescueExpired().leases == 0)
        try await queue.sql.query(
            "UPDATE l2s.silence SET ended_at = ended_at - interval '10 minutes'")
        #expect(try await other.store.rescueExpired().suspects == 2)
    }

    /// A worker could renew its lease before and after a short silence, so this lease ran out for
    /// another reason.
    @Test func aShortSilenceSparesNoLease() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("29 minutes")
        #expect(try await other.store.rescueExpired().leases == 1)
    }

    /// A long silence counts until the leases that it spared have had their full time again.
    @Test func aShortSilenceAfterALongOneSparesTheSameLeases() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("2 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        try await pass("5 seconds")
        #expect(try await other.store.rescueExpired().leases == 0)
        #expect(try await queue.count("l2s.silence WHERE length >= interval '2 hours'") == 1)
    }

    /// The first outage is over for the leases: their workers renewed them. Then there is another one.
    @Test func aLongSilenceAfterALongerOneSparesLeasesToo() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("3 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        try await queue.sql.query(
            "UPDATE l2s.silence SET ended_at = ended_at - interval '61 minutes'")
        try await pass("2 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        #expect(try await queue.count("l2s.silence") == 2)
        // One that is longer than both takes their place.
        try await pass("4 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        #expect(try await queue.count("l2s.silence") == 1)
    }

    /// This happens after a failover to a server whose clock is behind.
    @Test func aClockThatWentBackIsASilence() async throws {
        let (worker, other) = (try await queue.worker(), try await queue.worker())
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("-2 hours")
        #expect(try await other.store.rescueExpired().leases == 0)
        #expect(try await queue.count("l2s.contact WHERE heard_at <= clock_timestamp()") == 1)
    }

    /// The server may stand still between the two calls of a worker.
    @Test func nothingIsTakenBackUnlessWorkersAreHeard() async throws {
        let worker = try await queue.worker()
        try await queue.enqueue(2)
        _ = try await worker.claim(lease: .seconds(3_600))
        try await pass("2 hours")
        #expect(try await queue.sql.query("SELECT rescued_leases FROM l2s.rescue()").single() == 0)
    }
}
