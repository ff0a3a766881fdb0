import Foundation
import Postgres
import TestSupport
import Testing

/// Faults of single workers.
@Suite(.ifFaultsAreAskedFor, .timeLimit(.minutes(10))) struct WorkerFaultTests {
    @Test func aWorkerThatIsFrozenBeyondItsLeaseWritesNothingStale() async throws {
        let stand = try await FaultStand()
        let frozen = try stand.startWorker()
        try await stand.waitUntilRegistered(frozen)
        let address = try await frozen.watchAddress()
        try await stand.enqueue(2_000)
        try await stand.waitUntilInABatch(frozen)
        frozen.send(SIGSTOP)
        let other = try stand.startWorker()
        try await stand.waitUntilEmpty([other])
        let results = "SELECT md5(string_agg(r::text, ',' ORDER BY document_id)) FROM l2s.result r"
        let before: String = try await stand.ask(results).single()

        // When the worker goes on, its heartbeat must not tell it first that its lease is lost: the
        // store shall refuse its writes, so the worker must send them.
        let lock = try await stand.database.connect()
        try await lock.query("BEGIN")
        try await lock.query(
            "SELECT FROM l2s.worker WHERE pid = \(frozen.processID) FOR UPDATE")
        frozen.send(SIGCONT)
        try await eventually("stale writes are refused and counted; log: \(frozen.log)") {
            let metrics = try await Answer("\(address)/metrics").text
            let line = metrics.split(separator: "\n")
                .first { $0.hasPrefix("l2s_stale_results_total ") }
            return (line?.split(separator: " ").last.flatMap { Double($0) } ?? 0) > 0
        }
        try await lock.query("ROLLBACK")
        #expect(frozen.log.contains("stale writes refused"))
        #expect(try await stand.ask(results).single() == before)

        // It works on, without help.
        await stand.stop([other])
        try await stand.enqueue(100)
        try await stand.waitUntilEmpty([frozen])
        await stand.stop([frozen])
        try await stand.expectEveryDocumentFinishedOnce()
        #expect(
            try await stand.count(
                "l2s.result r JOIN l2s.worker w ON w.id = r.worker_id "
                    + "WHERE w.pid = \(frozen.processID)") > 0)
    }

    @Test(arguments: FaultRun.isLong ? [(1, 300), (4, 2_000)] : [(1, 300)])
    func aPoisonDocumentIsIsolatedAndDies(poison: Int, innocents: Int) async throws {
        let stand = try await FaultStand()
        try await stand.enqueuePoisoned(poison, among: innocents) { try stand.startWorker() }
        let ids =
            "(SELECT d.id FROM l2s.document d JOIN l2s.job_type t ON t.id = d.job_type "
            + "WHERE t.name = 'slow')"
        #expect(
            try await stand.count("l2s.result WHERE NOT succeeded AND document_id IN \(ids)")
                == poison)
        // A crash counts for the other documents of the batch, too, but no document has more than 4.
        #expect(
            try await stand.count(
                "(SELECT FROM l2s.attempt_error WHERE kind = 'crashed' "
                    + "GROUP BY document_id HAVING count(*) > 4) AS more") == 0)
        #expect(
            try await stand.count(
                "l2s.attempt_error WHERE kind = 'crashed' AND document_id IN \(ids)")
                == 4 * poison)
        try await stand.expectEveryDocumentFinishedOnce(deadLetters: poison)
    }
}

extension FaultStand {
    /// Runs until all is finished; a worker that takes up a poison document is killed and replaced.
    fileprivate func enqueuePoisoned(
        _ poison: Int, among innocents: Int, _ start: () throws -> WorkerProgram
    ) async throws {
        var workers = [try start(), try start()]
        for worker in workers { try await waitUntilRegistered(worker) }
        let part = innocents / (poison + 1)
        for _ in 0..<poison {
            try await enqueue(part)
            try await enqueue(1, "slow")
        }
        try await enqueue(innocents - poison * part)
        var kills = 0
        try await eventually("the queue is empty", within: .seconds(240)) {
            let rows = try await ask(
                """
                SELECT DISTINCT w.pid FROM l2s.queue q JOIN l2s.job_type t ON t.id = q.job_type
                JOIN l2s.lease l ON l.id = q.lease_id JOIN l2s.worker w ON w.id = l.worker_id
                WHERE t.name = 'slow'
                """)
            for row in rows {
                let pid: Int = try row.value("pid")
                // A worker that is dead already may still have a lease.
                guard let victim = workers.firstIndex(where: { Int($0.processID) == pid }) else {
                    continue
                }
                workers[victim].send(SIGKILL)
                _ = await workers[victim].waitForExit()
                kills += 1
                workers[victim] = try start()
            }
            return try await count("l2s.queue") == 0
        }
        #expect(kills <= 4 * poison, "worker crashes")
        await stop(workers)
    }
}
