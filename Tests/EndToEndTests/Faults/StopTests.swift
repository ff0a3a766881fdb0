import Foundation
import Postgres
import TestSupport
import Testing

/// Workers on the shipped models that are killed and stopped, and a server that restarts.
@Suite(.serialized, .timeLimit(.minutes(15))) struct StopTests {
    private var random = SeededRandom(seed: SeededRandom.newSeed())

    @Test mutating func everyDocumentHasExactlyOneResultWhateverDies() async throws {
        let documents = 300
        var bench = try await Bench(restartable: true)
        let first = try bench.startWorker()
        let second = try bench.startWorker()
        try await bench.waitUntilRegistered(first)
        try await bench.waitUntilRegistered(second)
        try await bench.enqueue(documents, using: &random)
        try await eventually("the worker is in the middle of a batch; its log: \(second.log)") {
            try await bench.isInTheMiddleOfABatch(second)
        }
        second.send(SIGKILL)
        #expect(await second.waitForExit().code == nil)
        #expect(
            try await bench.count(
                "l2s.worker w JOIN l2s.lease l ON l.worker_id = w.id "
                    + "WHERE w.pid = \(second.processID)") > 0)

        let atRestart = try await bench.count("l2s.result")
        #expect((1..<documents).contains(atRestart))
        try bench.database.restartServer()
        bench = try await Bench(bench.database)
        let third = try bench.startWorker()
        try await eventually("the queue is empty; a log: \(third.log)", within: .seconds(120)) {
            try await bench.count("l2s.queue") == 0
        }

        for worker in [first, third] {
            worker.send(SIGTERM)
            #expect(await worker.waitForExit().code == 0, "\(worker.log)")
        }
        #expect(try await bench.count("l2s.document") == documents)
        #expect(
            try await bench.count(
                "l2s.document d JOIN l2s.result r ON r.document_id = d.id WHERE r.succeeded")
                == documents)
        #expect(try await bench.count("l2s.result") == documents)
        #expect(try await bench.count("l2s.lease") == 0)
        #expect(try await bench.count("l2s.batch WHERE outcome = 'expired'") >= 1)
        // The same document gives the same output, whoever makes it and in whatever batch.
        #expect(
            try await bench.count(
                """
                (SELECT FROM l2s.document d JOIN l2s.result r ON r.document_id = d.id
                 GROUP BY d.job_type, d.body HAVING count(DISTINCT r.output) > 1) AS differing
                """) == 0)
    }

    @Test mutating func aSignalDrainsAndASecondOneStopsAtOnce() async throws {
        let bench = try await Bench()
        let first = try bench.startWorker()
        try await bench.waitUntilRegistered(first)
        try await bench.enqueue(60, using: &random)
        try await eventually("the worker is in the middle of a batch: \(first.log)") {
            try await bench.isInTheMiddleOfABatch(first)
        }
        first.send(SIGTERM)
        #expect(await first.waitForExit().code == 0, "\(first.log)")
        #expect(try await bench.count("l2s.lease") == 0)
        #expect(try await bench.count("l2s.worker WHERE stopped_at IS NULL") == 0)
        // What was not finished is back, and nothing was charged to it.
        let left = try await bench.count("l2s.queue")
        #expect(left > 0)
        #expect(
            try await bench.count("l2s.queue WHERE state = 0 AND errors = 0 AND crashes = 0")
                == left)

        let second = try bench.startWorker()
        try await eventually("the worker has a batch: \(second.log)") {
            try await bench.count("l2s.lease") > 0
        }
        // Two of a kind might be delivered as one.
        second.send(SIGTERM)
        second.send(SIGINT)
        let code = await second.waitForExit().code
        #expect(code == 128 + SIGTERM || code == 128 + SIGINT, "\(second.log)")
        #expect(second.log.contains("stopped at once"))

        let third = try bench.startWorker("--until-empty")
        #expect(await third.waitForExit().code == 0, "\(third.log)")
        #expect(try await bench.count("l2s.result WHERE succeeded") == 60)
        #expect(try await bench.count("l2s.queue") == 0)
    }
}
