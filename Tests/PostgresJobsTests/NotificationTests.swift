import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// A server whose queue of notifications fills up, because a listening session sleeps in a
/// transaction. When the queue is full, a transaction that sends a notification fails.
@Suite struct NotificationTests {
    /// Makes this database believe that the queue is full to a share. Filling it would take
    /// gigabytes.
    static func fill(_ sql: DatabaseConnection, to share: Double) async throws {
        try await sql.query("SET allow_system_table_mods = on")
        try await sql.query(
            """
            CREATE OR REPLACE FUNCTION pg_catalog.pg_notification_queue_usage()
            RETURNS double precision LANGUAGE sql AS 'SELECT \(share)::double precision'
            """)
    }

    @Test func documentsComeAndGoWithoutAWordWhileItIsFull() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let listener = try await queue.database.connect()
        for channel in ["l2s_work", "l2s_done", "l2s_groups"] {
            try await listener.listen(to: channel)
        }
        for (share, isHeard) in [(0.9, false), (0.1, true)] {
            try await Self.fill(queue.sql, to: share)
            // Each round sends on new connections, which have no plans from before.
            let producer = try await queue.database.connect()
            try await producer.query("SELECT l2s.fall_idle($1)", [.int(worker.id.value)])
            try await producer.query(
                "SELECT l2s.enqueue('summarize', 'text', \"group\" => 'g', notify => true)")
            let claiming = try await FixtureWorker(queue.database)
            let claim = try #require(try await claiming.claim())
            #expect(try await claiming.complete(claim).recorded.count == 1)
            #expect(try await claiming.store.finishGroups(atOnce: true) == 1)
            let patience: Duration = isHeard ? .seconds(120) : .milliseconds(200)
            #expect(
                try await listener.waitForNotification(timeout: patience) == isHeard, "\(share)")
            await producer.close()
        }
        #expect(try await queue.count("l2s.result WHERE succeeded") == 2)
        #expect(try await queue.count("l2s.groups WHERE finished_at IS NOT NULL") == 1)
    }
}
