import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Claims while somebody holds a snapshot. It keeps vacuum from removing the dead rows, so that
/// claims would have to step over them.
@Suite struct FloorTests {
    /// A queue from which `finished` documents have gone and in which `waiting` are left.
    private func underSnapshot(
        finished: Int = 3_000, waiting: Int = 600
    ) async throws -> (queue: QueueFixture, worker: FixtureWorker, reader: DatabaseConnection) {
        let queue = try await QueueFixture()
        let reader = try await queue.database.connect()
        try await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try await reader.query("SELECT count(*) FROM l2s.queue")
        let worker = try await queue.worker()
        try await queue.enqueue(finished + waiting)
        for _ in 0..<finished / 100 {
            try await worker.complete(try #require(try await worker.claim(100)))
        }
        return (queue, worker, reader)
    }

    /// Sets when a claim next looks from the start of the queue.
    private func look(_ queue: QueueFixture, in time: String) async throws {
        try await queue.sql.query(
            "UPDATE l2s.floor SET look_at = clock_timestamp() + $1::interval", [.text(time)])
    }

    /// How many index entries a claim meets without taking their documents.
    private func entriesMet(_ queue: QueueFixture, _ worker: FixtureWorker) async throws -> Int {
        try await queue.sql.transaction { connection in
            let read = "SELECT pg_stat_get_xact_tuples_returned('l2s.queue_ready'::regclass)"
            let before: Int = try connection.query(read).single()
            let claimed = try connection.query(
                "SELECT * FROM l2s.claim($1, 'large', '{summarize}', 10, 100000, '30 s')",
                [.int(worker.id.value)])
            let after: Int = try connection.query(read).single()
            return after - before - claimed.count
        }
    }

    @Test func claimsDoNotStepOverAllThatPassed() async throws {
        let (queue, worker, reader) = try await underSnapshot()
        try await look(queue, in: "1 hour")
        #expect(try await entriesMet(queue, worker) < 2_500)
        try await look(queue, in: "-1 hour")
        #expect(try await entriesMet(queue, worker) > 2_500)
        await reader.close()
    }

    @Test func whatComesToLieBelowTheFloorIsFoundByTheNextLook() async throws {
        let (queue, worker, reader) = try await underSnapshot()
        try await look(queue, in: "1 hour")
        let urgent: Int64 = try await queue.sql.query(
            "SELECT l2s.enqueue('summarize', 'text', priority => 9)"
        ).single()
        let claim = try #require(try await worker.claim(10))
        #expect(!claim.documents.map(\.id).contains(urgent))
        try await look(queue, in: "-1 second")
        #expect(try await worker.claim(10)?.documents.first?.id == urgent)
        // After documents are given back, claims begin at their place again.
        _ = try await worker.store.release(worker.id, claim.lease, claim.documents.map(\.id))
        try await look(queue, in: "-1 second")
        #expect(
            try await worker.claim(10)?.documents.map(\.id).sorted()
                == claim.documents.map(\.id).sorted())
        await reader.close()
    }

    @Test func nothingIsFoundOnlyAfterALookAtAll() async throws {
        let (queue, worker, reader) = try await underSnapshot(waiting: 30)
        try await queue.sql.query(
            "UPDATE l2s.floor SET rank = 1, look_at = clock_timestamp() + interval '1 hour'")
        #expect(try await worker.claim()?.documents.count == 30)
        #expect(try await worker.claim() == nil)
        await reader.close()
    }

    @Test func theFloorGoesWithTheDeadRows() async throws {
        let (queue, worker, reader) = try await underSnapshot()
        #expect(try await queue.count("l2s.floor") == 1)
        await reader.close()
        // The reader's session may end a moment later.
        try await eventually("the dead rows and the floor are gone") {
            try await queue.sql.query("VACUUM l2s.queue")
            try await look(queue, in: "-1 second")
            _ = try await worker.claim(1)
            return try await queue.count("l2s.floor") == 0
        }
    }
}
