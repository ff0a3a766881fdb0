import Jobs
import Postgres
import PostgresJobs
import Synchronization
import TestSupport
import Testing

@Suite struct RaceTests {
    /// Six workers finish, fail, release, abandon and rescue documents at random. Their leases run
    /// out at once, and they cut each other's connections, so that the outcome of a call is often
    /// unknown.
    ///
    /// This runs once with documents of one type and once with two jobs for each text.
    @Test(arguments: [["summarize"], ["summarize", "translate"]])
    func everyDocumentEndsOnceWhateverRaces(jobTypes: [String]) async throws {
        let queue = try await QueueFixture()
        let ids: [Int64] = try await queue.sql.query(
            """
            SELECT unnest(l2s.enqueue($1::text[], 'text ' || i)) AS id
            FROM generate_series(1, $2) AS i
            """, [.texts(jobTypes), .int(1500 / jobTypes.count)]
        ).map { try $0.value("id") }
        let seed = SeededRandom.newSeed()
        print("race of \(jobTypes): seed \(seed)")
        let written = try await withThrowingTaskGroup(of: [Int64].self) { group in
            for number in 0..<6 {
                group.addTask {
                    var chance = SeededRandom(seed: seed &+ UInt64(number))
                    return try await Self.play(queue, jobTypes, &chance)
                }
            }
            return try await group.reduce([], +)
        }
        #expect(Set(written).count == written.count, "seed \(seed)")
        let results = try await queue.sql.query("SELECT document_id, succeeded FROM l2s.result")
        let ended = try results.map { try $0.value("document_id", as: Int64.self) }
        #expect(Set(ended).symmetricDifference(ids) == [], "seed \(seed)")
        let succeeded = try results.filter { try $0.value("succeeded") }
            .map { try $0.value("document_id", as: Int64.self) }
        #expect(Set(succeeded).symmetricDifference(written) == [], "seed \(seed)")
        #expect(try await queue.count("l2s.lease") == 0)
        #expect(
            try await queue.sql.query(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).single() == 0)
    }

    /// Beside such workers, others cancel, retry, pause, resume, maintain, promote and rescue at
    /// random. Nothing may stay behind because of that.
    @Test func nothingStaysBehindWhateverIsDoneToTheQueueMeanwhile() async throws {
        let queue = try await QueueFixture()
        try await queue.keep("90 days")
        let jobTypes = ["summarize", "translate"]
        let seed = SeededRandom.newSeed()
        print("race with steering: seed \(seed)")
        let ids = try await queue.sql.query(
            """
            SELECT unnest(l2s.enqueue(
                CASE i % 4 WHEN 0 THEN $1::text[] ELSE ARRAY['summarize'] END, 'text ' || i,
                "group" => 'g' || i % 3, dedupe_key => i::text)) AS id
            FROM generate_series(1, 720) AS i
            """, [.texts(jobTypes)]
        ).map { try $0.value("id", as: Int64.self) }
        let end = End()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<3 {
                group.addTask {
                    var chance = SeededRandom(seed: seed &+ 100 &+ UInt64(number))
                    while !end.isOver.withLock(\.self) { try await Self.steer(queue, ids, &chance) }
                }
            }
            try await withThrowingTaskGroup(of: Void.self) { workers in
                for number in 0..<4 {
                    workers.addTask {
                        var chance = SeededRandom(seed: seed &+ UInt64(number))
                        _ = try await Self.play(
                            queue, jobTypes, &chance, documents: 1_500)
                    }
                }
                try await workers.waitForAll()
            }
            end.isOver.withLock { $0 = true }
            try await group.waitForAll()
        }
        // The documents that were retried last are finished without interruptions.
        let client = QueueClient(queue.sql)
        for name in [nil] + jobTypes { _ = try await client.setPaused(false, jobType: name) }
        var chance = SeededRandom(seed: seed)
        _ = try await Self.play(queue, jobTypes, &chance, cutsConnections: false)
        #expect(try await queue.count("l2s.queue") == 0, "seed \(seed)")
        #expect(try await queue.count("l2s.lease") == 0, "seed \(seed)")
        let ended = try await queue.sql.query("SELECT document_id AS id FROM l2s.result")
            .map { try $0.value("id", as: Int64.self) }
        #expect(Set(ended).symmetricDifference(ids) == [], "seed \(seed)")
        try await queue.sql.query("SELECT l2s.settle_groups()")
        #expect(
            try await queue.count("l2s.group_run WHERE finished_at IS NULL") == 0, "seed \(seed)")
        try await eventually("all are counted, seed \(seed)") {
            try await queue.sql.query("SELECT l2s.tally_results()")
            return try await queue.sql.query(
                "SELECT sum(succeeded + failed + cancelled) FROM l2s.count_finished()"
            ).single() == ids.count
        }
    }

    /// Whether the workers have ended, so that the others stop, too.
    private final class End: Sendable {
        let isOver = Mutex(false)
    }

    /// Does one random thing that people or chores do.
    private static func steer(
        _ queue: QueueFixture, _ ids: [Int64], _ chance: inout SeededRandom
    ) async throws {
        let connection = try await queue.database.connect()
        let client = QueueClient(connection)
        let some = (0..<20).compactMap { _ in ids.randomElement(using: &chance) }
        do {
            switch UInt64.random(in: 0..<12, using: &chance) {
            case 0...2: _ = try await client.cancel(some)
            case 3:
                try await connection.query("SELECT l2s.cancel_group('g1', 30)")
            case 4...6: _ = try await client.retry(some)
            case 7:
                _ = try await client.setPaused(true, jobType: "summarize")
                _ = try await client.setPaused(false, jobType: "summarize")
            case 8: try await connection.query("SELECT * FROM l2s.maintain(true)")
            case 9: try await connection.query("SELECT l2s.promote()")
            case 10: try await connection.query("SELECT * FROM l2s.rescue()")
            default: try await connection.query("SELECT l2s.settle_groups()")
            }
        } catch let error as DatabaseError where error.isTransient {
            // A worker may have cut the connection.
        }
        await connection.close()
    }

    /// Plays one worker until the queue is empty. Returns the documents that the store reported as
    /// recorded.
    private static func play(
        _ queue: QueueFixture, _ jobTypes: [String], _ chance: inout SeededRandom,
        documents: Int = .max, cutsConnections: Bool = true
    ) async throws -> [Int64] {
        // Others may cut its connection while it registers.
        let worker = try await insist { try await queue.worker() }
        let killer = try await queue.database.connect()
        var written: [Int64] = []
        func left() async throws -> Int {
            let unfinished = try await insist {
                try await worker.store.unfinished(jobTypes)
            }
            return unfinished.due + unfinished.paused
        }
        var claimed = 0
        while try await left() > 0, claimed < documents {
            _ = try await insist { try await worker.store.rescueExpired() }
            _ = try await insist { try await worker.store.promoteDelayed() }
            guard
                let claim = try await insist({
                    try await worker.claim(32, jobTypes: jobTypes, lease: .zero)
                })
            else {
                // With leases of no length, documents look as if they crashed their workers, which
                // pauses their types.
                for jobType in jobTypes {
                    _ = try await QueueClient(killer).setPaused(false, jobType: jobType)
                }
                continue
            }
            claimed += claim.documents.count
            let half = claim.documents.prefix((claim.documents.count + 1) / 2).map(\.id)
            switch UInt64.random(in: 0..<10, using: &chance) {
            case 0:
                _ = try await insist {
                    try await worker.store.release(worker.id, claim.lease, half)
                }
            case 1: _ = try await insist { try await worker.complete(claim, .failed(reason: "x")) }
            case 2: continue
            case 3 where cutsConnections:
                try await killer.query(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'fixture worker'
                    ORDER BY random() LIMIT 1
                    """)
            default:
                for part in [half, claim.documents.map(\.id).filter { !half.contains($0) }] {
                    written += try await insist {
                        try await worker.store.complete(
                            worker.id, claim.lease, part.map { .fixture($0, .done) })
                    }.recorded
                }
            }
        }
        return written
    }
}
