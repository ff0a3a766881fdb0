import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Chores, which one worker does for all. A chore that fails must not stop workers or other chores.
@Suite struct ChoreTests {
    /// Change capture publishes all tables. PostgreSQL then refuses to delete from a table without
    /// a replica identity.
    @Test func everyTableHasAReplicaIdentity() async throws {
        let queue = try await QueueFixture()
        let without = try await queue.sql.query(
            """
            SELECT c.relname FROM pg_class c
            WHERE c.relnamespace = 'l2s'::regnamespace AND c.relkind IN ('r', 'p')
              AND c.relreplident <> 'f' AND NOT EXISTS (
                  SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
            """
        ).map { try $0.value("relname", as: String.self) }
        #expect(without == [])
        try await queue.sql.query("CREATE PUBLICATION everything FOR ALL TABLES")
        try await queue.keep("0")
        let worker = try await queue.worker()
        for _ in 0..<3 {
            let ids = try await queue.enqueue(3)
            #expect(try await queue.cancel([ids[0]]) == 1)
            try await worker.complete(try #require(try await worker.claim()))
            #expect(try await QueueClient(queue.sql).maintain().failures == [])
        }
        try await queue.drop(part: 0)
    }

    @Test func oneBadLeaseBlocksNoOther() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(6)
        _ = try await worker.claim(2)
        _ = try await worker.claim(2)
        _ = try await worker.claim(2)
        // This attempt's row is there already, so that the rescue of its lease fails.
        try await queue.sql.query(
            """
            INSERT INTO l2s.attempt_error (
                document_id, attempt, lease_id, worker_id, kind, claimed_at, failed_at, reason)
            VALUES (1, 1, 1, 1, 'failed', now(), now(), 'x')
            """)
        try await queue.expireLeases()
        let rescued = try await worker.store.rescueExpired()
        #expect((rescued.leases, rescued.suspects) == (2, 4))
        #expect(rescued.failures.count == 1)
        #expect(rescued.failures.first?.contains("(23505)") == true)
        #expect(try await queue.count("l2s.queue WHERE state = 0") == 4)
        // The bad lease waits for a minute, so that it does not take the place of others.
        #expect(try await worker.store.rescueExpired().failures == [])
        try await queue.sql.query("DELETE FROM l2s.attempt_error WHERE lease_id = 1")
        try await queue.expireLeases()
        #expect(try await worker.store.rescueExpired().suspects == 2)
    }

    @Test func documentsThatNoLongerExistAreDropped() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(2)
        try await queue.sql.query(
            """
            INSERT INTO l2s.queue (document_id, run_at, job_type, tokens, rank, length_class, state)
            SELECT 900000001, now(), id, 1, 0, 0, 0 FROM l2s.job_type WHERE name = 'summarize'
            """)
        _ = try await worker.claim()
        try await queue.expireLeases()
        let rescued = try await worker.store.rescueExpired()
        #expect(rescued == RescueSummary(leases: 1, suspects: 2, dead: 0))
        #expect(try await queue.count("l2s.queue") == 2)
    }

    @Test func aPartThatCannotBeDroppedBlocksNoOther() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let client = QueueClient(queue.sql)
        try await queue.keep("0")
        for _ in 0..<3 {
            try await queue.enqueue(2)
            try await worker.complete(try #require(try await worker.claim()))
            if try await queue.count("pg_class WHERE relname = 'a_view'") == 0 {
                try await queue.sql.query("CREATE VIEW a_view AS SELECT * FROM l2s.result_0")
            }
            _ = try await client.maintain()
        }
        let step = try await client.maintain()
        #expect(
            step.failures.contains { $0.hasPrefix("could not drop document_0: ") }, "\(step)")
        #expect(try await queue.count("l2s.part WHERE number = 0") == 1)
        try await queue.drop(part: 1)
    }

    /// The document belongs to a producer's transaction that is open for longer than documents are
    /// kept.
    @Test func aDocumentThatIsNotCommittedYetKeepsItsPart() async throws {
        let queue = try await QueueFixture()
        let client = QueueClient(queue.sql)
        try await queue.keep("0")
        let producer = try await queue.database.connect()
        try await producer.query("BEGIN")
        try await producer.query("SELECT l2s.enqueue('summarize', 'late')")
        let worker = try await queue.worker()
        for _ in 0..<2 {
            try await queue.enqueue(1)
            try await worker.complete(try #require(try await worker.claim()))
            _ = try await client.maintain()
        }
        let waiting = try await client.maintain()
        #expect(
            waiting.done.contains("kept document_0 for now: another transaction uses it"),
            "\(waiting)")
        try await producer.query("COMMIT")
        let after = try await client.maintain()
        #expect(
            after.done.contains("kept document_0: 1 documents in it are not finished"), "\(after)")
        #expect(try await worker.claim()?.documents.count == 1)
    }

    /// A vacuum that gives back the end of the queue's file holds such a lock.
    @Test func retentionWaitsForWhoHoldsTheQueue() async throws {
        let queue = try await QueueFixture()
        try await queue.keep("0")
        let worker = try await queue.worker()
        try await queue.enqueue(1)
        try await worker.complete(try #require(try await worker.claim()))
        try await queue.sql.query("SELECT l2s.begin_parts('0')")
        try await queue.sql.query("SELECT l2s.begin_parts('0')")
        let other = try await queue.database.connect()
        try await other.query("BEGIN")
        try await other.query("LOCK TABLE l2s.queue")
        async let step = worker.store.maintain()
        let looker = try await queue.database.connect()
        try await eventually("the chore waits") {
            try await looker.query(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            ).single() == 1
        }
        try await other.query("COMMIT")
        #expect(try await step.failures == [])
        try await queue.drop(part: 0)
    }

    /// Claims, completions and enqueues wait for no piece of retention except the drop of a part.
    /// That does nothing else in its transaction.
    @Test func noPieceOfRetentionHoldsALockThatTheQueueWaitsFor() async throws {
        let queue = try await QueueFixture()
        try await queue.keep("0")
        let worker = try await queue.worker()
        for _ in 0..<3 {
            try await queue.sql.query(
                """
                SELECT l2s.enqueue('summarize', 'x', dedupe_key => gen_random_uuid()::text)
                FROM generate_series(1, 20)
                """)
            try await worker.complete(try #require(try await worker.claim()))
            _ = try await queue.sql.query("SELECT l2s.begin_parts('0')")
        }
        var drops = 0
        try await eventually("two parts are dropped") {
            let keys = try await queue.count("l2s.dedupe")
            try await queue.sql.query("BEGIN")
            let done = try await queue.sql.query("SELECT done FROM l2s.maintain(true)")
                .map { try $0.optional("done", as: String.self) ?? "" }
            // The locks that conflict with ROW EXCLUSIVE, which all of these calls take.
            let locks = try await queue.sql.query(
                """
                SELECT l.relation::regclass || ': ' || l.mode AS words FROM pg_locks l
                JOIN pg_class c ON c.oid = l.relation AND c.relnamespace = 'l2s'::regnamespace
                WHERE l.pid = pg_backend_pid() AND l.mode IN (
                    'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                  -- Nobody sees tables of a new part yet.
                  AND NOT EXISTS (
                      SELECT FROM l2s.part p
                      WHERE p.opened_at IS NULL AND c.relname LIKE '%\\_' || p.number || '%')
                """
            ).map { try $0.value("words", as: String.self) }
            let deleted = try await keys - queue.count("l2s.dedupe")
            try await queue.sql.query("COMMIT")
            if done.contains(where: { $0.hasPrefix("dropped") }) {
                drops += 1
                #expect(deleted == 0, "\(done)")
            } else if !done.contains(where: { $0.contains("for now") }) {
                #expect(locks == [], "\(done)")
            }
            return drops == 2
        }
    }

    /// Before a part is dropped, its keys are deleted in slices, each in a transaction of its own.
    @Test func keysAreForgottenInSlices() async throws {
        let queue = try await QueueFixture()
        try await queue.keep("0")
        let worker = try await queue.worker()
        for _ in 0..<2 {
            try await queue.sql.query(
                """
                SELECT l2s.enqueue('summarize', 'x', dedupe_key => gen_random_uuid()::text)
                FROM generate_series(1, 20)
                """)
            try await worker.complete(try #require(try await worker.claim()))
            _ = try await queue.sql.query("SELECT l2s.begin_parts('0')")
        }
        try await queue.sql.query(
            """
            INSERT INTO l2s.dedupe (job_type, producer, key, document_id)
            SELECT 1, '', 'old ' || i, i FROM generate_series(100, 25099) AS i
            """)
        var slices: [Int] = []
        try await eventually("the part is dropped") {
            let before = try await queue.count("l2s.dedupe")
            try await queue.sql.query("SELECT * FROM l2s.maintain(true)")
            let gone = try await before - queue.count("l2s.dedupe")
            if gone > 0 { slices.append(gone) }
            return try await queue.count("l2s.part WHERE number = 0") == 0
        }
        #expect(slices == [10_000, 10_000, 5_020])
        #expect(try await queue.count("l2s.dedupe WHERE document_id < 100000000") == 0)
    }

    @Test func documentsAreKeptForEverWhenKeepIsNull() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.keep("0")
        try await queue.sql.query("UPDATE l2s.setting SET keep = NULL")
        for _ in 0..<3 {
            try await queue.enqueue(1)
            try await worker.complete(try #require(try await worker.claim()))
            #expect(try await QueueClient(queue.sql).maintain().failures == [])
        }
        #expect(try await queue.count("l2s.jobs") == 3)
        #expect(try await queue.count("l2s.batch") == 3)
    }

    @Test(arguments: ["30 s", "-1 day", "4000 years"])
    func aTimeToKeepThatWouldDoHarmIsRefused(keep: String) async throws {
        let queue = try await QueueFixture()
        let error = await #expect(throws: DatabaseError.self) {
            try await queue.sql.query("UPDATE l2s.setting SET keep = $1::interval", [.text(keep)])
        }
        #expect(error?.refusal?.sqlState == "23514")
    }

    @Test func batchesAreKeptForAThousandYearsWhenAskedTo() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.sql.query("UPDATE l2s.setting SET keep = '1000 years'")
        try await queue.enqueue(1)
        try await worker.complete(try #require(try await worker.claim()))
        _ = try await QueueClient(queue.sql).maintain()
        #expect(try await queue.count("l2s.batch") == 1)
    }
}
