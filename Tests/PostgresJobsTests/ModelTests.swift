import Foundation
import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Random operations on the queue and on a small model of it. Both must agree after each operation.
///
/// One connection does everything in turn, because these are tests of the operations and not of
/// races between them (see RaceTests). L2S_MODEL_OPERATIONS sets the number of operations, and
/// L2S_MODEL_SEED repeats a run that failed.
@Suite struct ModelTests {
    /// The operations of one queue. Then a new queue begins, so that later ones cost no more.
    private static let part = 10_000

    /// While a snapshot is held, dead rows stay and claims begin at a floor. They must still find
    /// every document.
    @Test(.timeLimit(.minutes(600)), arguments: [false, true])
    func theQueueDoesWhatTheModelDoes(isSnapshotHeld: Bool) async throws {
        let environment = ProcessInfo.processInfo.environment
        let operations = environment["L2S_MODEL_OPERATIONS"].flatMap(Int.init) ?? 5_000
        let seed =
            environment["L2S_MODEL_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 0..<1 << 32)
        print("model test: seed \(seed), \(operations) operations, held: \(isSnapshotHeld)")
        var random = SeededRandom(seed: seed)
        var done = 0
        while done < operations {
            let end = min(operations, done + Self.part)
            var play = try await Play(isSnapshotHeld: isSnapshotHeld)
            while done < end {
                done += try await play.step(&random)
                if Int.random(in: 0..<100, using: &random) == 0 {
                    try await play.compare("seed \(seed), after \(done) operations")
                }
            }
            try await play.finishAll()
            try await play.compare("seed \(seed), at the end of \(done) operations")
            await play.close()
        }
    }
}

/// The queue and what should be in it.
struct Play {
    struct Document: Equatable {
        enum State: String {
            case waiting, running, cancelling, succeeded, failed, cancelled, delayed
        }
        var state = State.waiting { didSet { wasCancelled = wasCancelled || state == .cancelled } }
        /// Attempts that ended in an error or a crash.
        var ended = 0
        var errors = 0
        var crashes = 0
        var lease: LeaseID?
        var group: String?
        /// The jobs of the same text; empty if there is no other.
        var siblings: [Int64] = []
        var wasCancelled = false  // From then on its key is free, even if it runs again.

        var isFinished: Bool { [.succeeded, .failed, .cancelled].contains(state) }
    }

    let queue: QueueFixture
    let worker: FixtureWorker
    var documents: [Int64: Document] = [:]
    var keys: [String: Int64] = [:]
    var paused = false
    var last: String?
    var streamed: [Int64: Int] = [:]
    let attempts = 3

    /// Holds a snapshot, or does nothing.
    let reader: DatabaseConnection

    init(isSnapshotHeld: Bool) async throws {
        queue = try await QueueFixture(attempts: attempts)
        worker = try await queue.worker()
        reader = try await queue.database.connect()
        if isSnapshotHeld {
            try await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
            try await reader.query("SELECT count(*) FROM l2s.queue")
        }
    }

    func close() async {
        await reader.close()
        await worker.store.close()
        await queue.sql.close()
    }

    /// Does one random operation on both. Returns how many documents it was about, at least one.
    mutating func step(_ random: inout SeededRandom) async throws -> Int {
        switch Int.random(in: 0..<100, using: &random) {
        case ..<17: return try await enqueue(&random)
        case ..<22: return try await enqueueSiblings(&random)
        case ..<45: return try await claim(&random)
        case ..<72: return try await finish(&random)
        case ..<77: return try await release(&random)
        case ..<80: return try await crash(&random)
        case ..<88: return try await cancel(&random)
        case ..<92: return try await retry(&random)
        case ..<95: return try await promote()
        case ..<96: return try await pauseOrResume()
        case ..<97: return try await queue.sql.query("SELECT l2s.tally_results()").count
        default: return try await stream()
        }
    }

    mutating func enqueue(_ random: inout SeededRandom) async throws -> Int {
        let count = Int.random(in: 1...40, using: &random)
        let group = ["a", "b", nil, nil].randomElement(using: &random) ?? nil
        let tenant = ["x", "y", nil].randomElement(using: &random) ?? nil
        let key: String? =
            count == 1 ? "k\(Int.random(in: 0..<20, using: &random))" : nil
        let later = Int.random(in: 0..<8, using: &random) == 0
        let ids: [Int64] = try await queue.sql.query(
            """
            SELECT l2s.enqueue(
                'summarize', repeat('word ', $2), priority => $3, "group" => $4, tenant => $5,
                dedupe_key => $6, run_at => now() + CASE WHEN $7 THEN '1 day' ELSE '0' END::interval)
                AS id
            FROM generate_series(1, $1)
            """,
            [
                .int(count), .int(Int.random(in: 1...400, using: &random)),
                .int(Int.random(in: -1...1, using: &random)), .text(group), .text(tenant),
                .text(key), .bool(later),
            ]
        ).map { try $0.value("id") }
        if let key, let known = keys[key], documents[known]?.wasCancelled != true {
            #expect(ids == [known])
            return 1
        }
        if let key { keys[key] = ids[0] }
        for id in ids {
            #expect(documents[id] == nil)
            documents[id] = Document(state: later ? .delayed : .waiting, group: group)
        }
        return count
    }

    mutating func claim(_ random: inout SeededRandom) async throws -> Int {
        let limit = Int.random(in: 1...64, using: &random)
        // The model knows no time, so no lease may run out by itself.
        let claim = try await worker.claim(
            limit, lease: .seconds(1_000_000))
        guard let claim else {
            let isSuspectHeld = documents.values.contains { $0.lease != nil }
            if !paused && !isSuspectHeld {
                #expect(!documents.values.contains { $0.state == .waiting })
            }
            return 1
        }
        #expect(!paused)
        // The first document brings its sibling, even beyond the limit.
        #expect(claim.documents.count <= max(limit, 2))
        expectSiblings(of: claim)
        for document in claim.documents {
            let known = documents[document.id]
            #expect(known?.state == .waiting, "document \(document.id)")
            #expect(document.attempt == (known?.ended ?? 0) + 1, "document \(document.id)")
            documents[document.id]?.state = .running
            documents[document.id]?.lease = claim.lease
        }
        return claim.documents.count
    }

    /// Some documents of a random lease.
    func pick(_ random: inout SeededRandom) -> (lease: LeaseID, ids: [Int64])? {
        let held = Dictionary(grouping: documents.keys.sorted()) { documents[$0]?.lease }
        let leases = held.keys.compactMap(\.self).sorted { $0.value < $1.value }
        guard let lease = leases.randomElement(using: &random), let all = held[lease] else {
            return nil
        }
        return (lease, all.filter { _ in Int.random(in: 0..<4, using: &random) > 0 })
    }

    mutating func finish(_ random: inout SeededRandom) async throws -> Int {
        guard let (lease, held) = pick(&random) else { return 1 }
        // A document that no lease holds must be refused.
        let stranger = documents.keys.sorted().randomElement(using: &random).flatMap { id in
            let document = documents[id]
            return document?.state == .waiting && document?.ended == 0 ? id : nil
        }
        var expected = CompletionReceipt(stale: stranger.map { [$0] } ?? [])
        var reports = expected.stale.map { FinishedDocument.fixture($0, .done) }
        for id in held {
            let outcome: Outcome =
                switch Int.random(in: 0..<10, using: &random) {
                case 0: .rejected(reason: "r")
                case 1...3: .failed(reason: "f")
                default: .done
                }
            reports.append(.fixture(id, outcome))
            finish(id, outcome, &expected)
        }
        let receipt = try await worker.store.complete(worker.id, lease, reports)
        expect(receipt, expected)
        return max(1, held.count)
    }

    mutating func finish(
        _ id: Int64, _ outcome: Outcome, _ receipt: inout CompletionReceipt
    ) {
        guard var document = documents[id] else { return }
        document.lease = nil
        if outcome != .done { document.ended += 1 }
        switch (document.state, outcome) {
        case (.cancelling, _):
            // The attempt that was under way counts.
            if outcome == .done { document.ended += 1 }
            document.state = .cancelled
            receipt.cancelled.append(id)
        case (_, .failed) where document.errors + 1 < attempts:
            document.errors += 1
            document.state = .delayed
            receipt.retried.append(id)
        case (_, .succeeded):
            document.state = .succeeded
            receipt.recorded.append(id)
        default:
            document.state = .failed
            receipt.recorded.append(id)
        }
        documents[id] = document
    }

    mutating func release(_ random: inout SeededRandom) async throws -> Int {
        guard let (lease, ids) = pick(&random) else { return 1 }
        #expect(try await worker.store.release(worker.id, lease, ids) == ids.count)
        for id in ids {
            guard let document = documents[id] else { continue }
            if document.state == .cancelling {
                documents[id]?.ended += 1
                documents[id]?.state = .cancelled
            } else {
                documents[id]?.state = .waiting
            }
            documents[id]?.lease = nil
        }
        return max(1, ids.count)
    }

    /// Lets a lease run out and rescues its documents.
    mutating func crash(_ random: inout SeededRandom) async throws -> Int {
        guard let (lease, _) = pick(&random) else { return 1 }
        let ids = documents.keys.filter { documents[$0]?.lease == lease }
        try await queue.sql.query(
            "UPDATE l2s.lease SET expires_at = '-infinity', duration = '-1000 years' WHERE id = $1",
            [.int(lease.value)])
        let rescued = try await worker.store.rescueExpired()
        #expect(rescued.leases == 1)
        // The model does not know paused job types.
        for name in rescued.paused {
            #expect(try await QueueClient(queue.sql).setPaused(false, jobType: name))
        }
        var expected = CompletionReceipt()
        for id in ids {
            guard var document = documents[id] else { continue }
            if document.state == .cancelling {
                expected.cancelled.append(id)
            } else {
                expected.stale.append(id)
            }
            document.lease = nil
            document.ended += 1
            document.crashes += 1
            document.state =
                document.state == .cancelling
                ? .cancelled : document.crashes >= 4 ? .failed : .waiting
            documents[id] = document
        }
        expect(
            try await worker.store.complete(worker.id, lease, ids.map { .fixture($0, .done) }),
            expected)
        return max(1, ids.count)
    }

    mutating func cancel(_ random: inout SeededRandom) async throws -> Int {
        let ids: [Int64]
        let count: Int
        if Int.random(in: 0..<20, using: &random) == 0 {
            ids = documents.keys.filter { documents[$0]?.group == "a" }
            count = try await QueueClient(queue.sql).cancel(group: "a")
        } else {
            let known = documents.keys.sorted()
            ids = Array(Set((0..<3).compactMap { _ in known.randomElement(using: &random) }))
            count = try await queue.cancel(ids)
        }
        var expected = 0
        for id in ids {
            switch documents[id]?.state {
            case .waiting, .delayed: documents[id]?.state = .cancelled
            case .running: documents[id]?.state = .cancelling
            default: continue
            }
            expected += 1
        }
        #expect(count == expected)
        return max(1, expected)
    }

    mutating func retry(_ random: inout SeededRandom) async throws -> Int {
        let known = documents.keys.sorted()
        let ids = Set((0..<8).compactMap { _ in known.randomElement(using: &random) })
        let again = ids.filter { [.failed, .cancelled].contains(documents[$0]?.state) }
        #expect(try await QueueClient(queue.sql).retry(Array(ids)) == again.count)
        for id in again {
            documents[id]?.state = .waiting
            documents[id]?.errors = 0
            documents[id]?.crashes = 0
            streamed[id] = nil
        }
        return ids.count
    }

    mutating func promote() async throws -> Int {
        try await queue.sql.query("UPDATE l2s.queue SET run_at = now() WHERE state = 2")
        let due = documents.keys.filter { documents[$0]?.state == .delayed }
        #expect(try await worker.store.promoteDelayed() == min(due.count, 1000))
        guard due.count <= 1000 else { return try await promote() }
        for id in due { documents[id]?.state = .waiting }
        return max(1, due.count)
    }

    mutating func pauseOrResume() async throws -> Int {
        #expect(try await QueueClient(queue.sql).setPaused(!paused, jobType: nil))
        paused.toggle()
        return 1
    }

    mutating func stream() async throws -> Int {
        let page = try await QueueClient(queue.sql).completed(after: last, group: nil, limit: 100)
        for result in page {
            streamed[result.id, default: 0] += 1
            #expect(streamed[result.id] == 1, "document \(result.id) was streamed twice")
        }
        last = page.last?.key ?? last
        return max(1, page.count)
    }
}
