import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct RaceTests {
    /// Six workers whose leases run out at once finish, fail, release, abandon and rescue at random,
    /// and cut each other's connections, so that the outcome of a call is often unknown.
    ///
    /// Once with documents of one type, once with two jobs for each text.
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

    /// Plays one worker until the queue is empty; returns what it was told is written.
    private static func play(
        _ queue: QueueFixture, _ jobTypes: [String], _ chance: inout SeededRandom
    ) async throws -> [Int64] {
        let worker = try await queue.worker()
        let killer = try await queue.database.connect()
        var written: [Int64] = []
        func left() async throws -> Int {
            let unfinished = try await insist {
                try await worker.store.unfinished(jobTypes)
            }
            return unfinished.due + unfinished.paused
        }
        while try await left() > 0 {
            _ = try await insist { try await worker.store.rescueExpired() }
            _ = try await insist { try await worker.store.promoteDelayed() }
            guard
                let claim = try await insist({
                    try await worker.claim(32, jobTypes: jobTypes, lease: .zero)
                })
            else {
                // Leases of no length look like documents that crash their workers.
                for jobType in jobTypes {
                    _ = try await QueueClient(killer).setPaused(false, jobType: jobType)
                }
                continue
            }
            let half = claim.documents.prefix((claim.documents.count + 1) / 2).map(\.id)
            switch UInt64.random(in: 0..<10, using: &chance) {
            case 0: _ = try await insist { try await worker.store.release(claim.lease, half) }
            case 1: _ = try await insist { try await worker.complete(claim, .failed(reason: "x")) }
            case 2: continue
            case 3:
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
                            claim.lease, part.map { .fixture($0, .done) })
                    }.recorded
                }
            }
        }
        return written
    }
}
