import Foundation
import Postgres
import TestSupport
import Testing

/// Everything dies again and again while documents come and go.
@Suite(.ifFaultsAreAskedFor, .serialized) struct StormTests {
    private let seed = SeededRandom.newSeed()

    @Test(.timeLimit(.minutes(15))) func aShortStorm() async throws {
        try await storm(documents: 2_400, workers: 2)
    }

    @Test(.enabled(if: FaultRun.isLong), .timeLimit(.minutes(240)))
    func aLongStorm() async throws {
        try await storm(documents: FaultRun.documents ?? 0, workers: 3)
    }

    private enum Blow: String, CaseIterable {
        case worker, connection, backend, server, people
    }

    /// What people and chores may do at any moment beside the workers.
    private static let steering = [
        "SELECT l2s.cancel(VARIADIC ARRAY(SELECT document_id FROM l2s.queue ORDER BY random() LIMIT 9))",
        "SELECT l2s.pause(), l2s.resume()", "SELECT * FROM l2s.maintain(true)",
        "SELECT l2s.promote(), l2s.settle_groups()", "SELECT * FROM l2s.rescue()",
    ]

    /// Strikes at random moments. They are counted in results, so that work is done between two blows.
    private func storm(documents: Int, workers count: Int) async throws {
        var random = SeededRandom(seed: seed)
        let stand = try await FaultStand(restartable: true)
        var workers = try (0..<count).map { _ in try stand.startWorker() }
        for worker in workers { try await stand.waitUntilRegistered(worker) }
        var blows: [String: Int] = [:]
        var finished = 0
        while finished < documents {
            let target = min(documents, finished + Int.random(in: 150...650, using: &random))
            try await eventually("\(target) documents are done", within: .seconds(120)) {
                finished = try await stand.count("l2s.result")
                let waiting = stand.documents - finished
                if stand.documents < documents, waiting < 1_500 {
                    let count = min(500, documents - stand.documents)
                    // Some texts have two jobs, others one.
                    if count % 2 == 0, Bool.random(using: &random) {
                        try await stand.enqueueTwins(count / 2)
                    } else {
                        try await stand.enqueue(count)
                    }
                }
                return finished >= target
            }
            // Workers die most often, because there are many of them.
            let blow =
                [
                    Blow.worker, .worker, .worker, .connection, .connection, .backend, .server,
                    .people, .people, .people,
                ]
                .randomElement(using: &random) ?? .worker
            blows[blow.rawValue, default: 0] += 1
            switch blow {
            case .worker:
                let victim = Int.random(in: 0..<workers.count, using: &random)
                workers[victim].send(SIGKILL)
                #expect(await workers[victim].waitForExit().code == nil, "\(workers[victim].log)")
                workers[victim] = try stand.startWorker()
            case .connection:
                try await stand.ask(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = 'l2s-worker' ORDER BY random() LIMIT 1
                    """)
            case .backend:
                // The server takes this for a crash of its own and starts all over.
                let rows = try await stand.ask(
                    """
                    SELECT pid FROM pg_stat_activity
                    WHERE application_name = 'l2s-worker' ORDER BY random() LIMIT 1
                    """)
                if let pid = try rows.first?.value("pid", as: Int.self) {
                    kill(Int32(pid), SIGKILL)
                }
            case .server:
                try stand.database.restartServer()
            case .people:
                for call in Self.steering.shuffled(using: &random) { try await stand.ask(call) }
            }
        }
        try await stand.waitUntilEmpty(workers)
        // A worker that gets SIGTERM before it listens to signals just ends.
        for worker in workers { try await stand.waitUntilRegistered(worker) }
        await stand.stop(workers)
        // A document whose workers crashed four times is a dead letter, even if it crashed none of
        // them. By chance this happens to less than one document in a hundred runs of 30,000.
        let dead = try await stand.count("l2s.result WHERE NOT succeeded AND NOT cancelled")
        #expect(dead <= documents / 100_000, "innocent dead letters")
        try await stand.expectEveryDocumentFinishedOnce(deadLetters: dead)
        let crashes = try await stand.count("l2s.batch WHERE outcome = 'expired'")
        print("StormTests: \(blows), \(crashes) leases ran out, \(dead) innocents dead-lettered")
    }
}
