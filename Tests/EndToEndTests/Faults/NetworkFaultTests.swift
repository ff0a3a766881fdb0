import Foundation
import Postgres
import TestSupport
import Testing

/// The network between a worker and its database is cut, in every stage of a batch.
@Suite(.ifFaultsAreAskedFor, .timeLimit(.minutes(10))) struct NetworkFaultTests {
    private static let stages = [
        "l2s.claim(", "l2s.complete(", "l2s.heartbeat(", "l2s.has_work(",
    ]
    private static let cuts = stages.flatMap { stage in
        [false, true].map { (words: stage, isAfter: $0) }
    }

    /// One worker through all cuts, each in the middle of its work: it goes on by itself.
    @Test func connectionsAreReset() async throws {
        let stand = try await FaultStand()
        let network = try CuttableNetwork(to: stand.database.socket)
        defer { network.end() }
        let worker = try stand.startWorker(url: network.url(of: stand.database))
        try await stand.waitUntilRegistered(worker)
        for (words, isAfter) in Self.cuts {
            // An outage is logged once, so the one before must be over.
            try await eventually("the worker is well; log: \(worker.log)") {
                worker.log.count(of: "unavailable") == worker.log.count(of: "reconnected")
            }
            let outages = worker.log.count(of: "unavailable")
            network.cut(.init(words: words, isAfter: isAfter, state: .reset))
            try await stand.enqueue(50)
            try await eventually("\(words) is sent; log: \(worker.log)") { network.isCut }
            try await eventually("the worker notices; log: \(worker.log)") {
                worker.log.count(of: "unavailable") > outages
            }
            network.change(to: .open)
            try await stand.waitUntilEmpty([worker])
        }
        await stand.stop([worker])
        try await stand.expectEveryDocumentFinishedOnce()
    }

    /// After an outage that is longer than a lease, the document is still in its first attempt, though
    /// the worker that takes leases back is the one that could not renew them.
    @Test func anOutageIsNotChargedToDocuments() async throws {
        let stand = try await FaultStand()
        let network = try CuttableNetwork(to: stand.database.socket)
        defer { network.end() }
        let worker = try stand.startWorker(
            url: network.url(of: stand.database), ["--lease", "10m"])
        try await stand.waitUntilRegistered(worker)
        // The server must seem to run for longer than leases last.
        try await stand.ask("SET allow_system_table_mods = on")
        try await stand.ask(
            """
            CREATE OR REPLACE FUNCTION pg_catalog.pg_postmaster_start_time()
            RETURNS timestamptz LANGUAGE sql AS $$SELECT '2000-01-01'::timestamptz$$
            """)
        for _ in 1...4 {
            let outages = worker.log.count(of: "unavailable")
            try await stand.enqueue(1, "slow")
            try await eventually("the worker has it; log: \(worker.log)") {
                worker.send(SIGSTOP)
                if try await stand.count("l2s.lease") == 1 { return true }
                worker.send(SIGCONT)
                return false
            }
            network.change(to: .reset)
            // As if an hour passed.
            try await stand.ask("UPDATE l2s.lease SET expires_at = now() - interval '59 minutes'")
            try await stand.ask("UPDATE l2s.contact SET heard_at = now() - interval '1 hour'")
            worker.send(SIGCONT)
            try await eventually("the worker notices; log: \(worker.log)") {
                worker.log.count(of: "unavailable") > outages
            }
            network.change(to: .open)
            try await stand.waitUntilEmpty([worker])
            try await eventually("the worker is well; log: \(worker.log)") {
                worker.log.count(of: "unavailable") == worker.log.count(of: "reconnected")
            }
        }
        await stand.stop([worker])
        #expect(try await stand.count("l2s.attempt_error") == 0)
        #expect(try await stand.count("l2s.batch WHERE outcome = 'expired'") == 0)
        try await stand.expectEveryDocumentFinishedOnce()
    }

    /// The connection is half open: another worker takes over while the first hears nothing, and what
    /// the first had sent arrives when the documents are no longer its own.
    @Test(.enabled(if: FaultRun.isLong), arguments: cuts.map(\.words), [false, true])
    func nothingGetsThrough(words: String, isAfter: Bool) async throws {
        let stand = try await FaultStand()
        let network = try CuttableNetwork(to: stand.database.socket)
        defer { network.end() }
        let cut = try stand.startWorker(url: network.url(of: stand.database))
        try await stand.waitUntilRegistered(cut)
        network.cut(.init(words: words, isAfter: isAfter, state: .silent))
        try await stand.enqueue(200)
        try await eventually("\(words) is sent; log: \(cut.log)") { network.isCut }
        let other = try stand.startWorker()
        try await stand.waitUntilEmpty([other])
        // The worker gives up a statement after 30 s, its way after 5 s, and a new connection after
        // 5 s. It logs the outage once, for the first of its connections that meets it.
        try await eventually("the worker notices; log: \(cut.log)") {
            cut.log.contains("unavailable")
        }
        network.change(to: .open)
        await stand.stop([other])
        try await stand.enqueue(200)
        try await stand.waitUntilEmpty([cut])
        await stand.stop([cut])
        try await stand.expectEveryDocumentFinishedOnce()
    }
}

extension CuttableNetwork {
    func url(of database: TestDatabase) -> String {
        "postgresql://postgres@127.0.0.1:\(port)/\(database.name)?sslmode=disable&gssencmode=disable"
    }
}

extension String {
    fileprivate func count(of words: String) -> Int { ranges(of: words).count }
}
