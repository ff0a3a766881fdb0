import Foundation
import Postgres
import TestSupport
import Testing

/// Workers on the shipped models that are killed and stopped, and a server that restarts.
@Suite(.serialized, .timeLimit(.minutes(15))) struct StopTests {
    private var random = SeededRandom(seed: SeededRandom.newSeed())

    @Test mutating func everyDocumentHasExactlyOneResultWhateverDies() async throws {
        let documents = 300
        var stand = try await TestStand(restartable: true)
        let first = try stand.startWorker()
        let second = try stand.startWorker()
        try await stand.waitUntilRegistered(first)
        try await stand.waitUntilRegistered(second)
        try await stand.enqueue(documents, using: &random)
        // The worker is frozen while it is checked, so that it cannot end its batch before the blow.
        try await eventually("the worker is in the middle of a batch; its log: \(second.log)") {
            guard try await stand.isInTheMiddleOfABatch(second) else { return false }
            second.send(SIGSTOP)
            if try await stand.isInTheMiddleOfABatch(second) { return true }
            second.send(SIGCONT)
            return false
        }
        second.send(SIGKILL)
        #expect(await second.waitForExit().code == nil)

        let atRestart = try await stand.count("l2s.result")
        #expect((1..<documents).contains(atRestart))
        try stand.database.restartServer()
        stand = try await TestStand(stand.database)
        let third = try stand.startWorker()
        try await eventually("the queue is empty; a log: \(third.log)", within: .seconds(120)) {
            try await stand.count("l2s.queue") == 0
        }

        for worker in [first, third] {
            worker.send(SIGTERM)
            #expect(await worker.waitForExit().code == 0, "\(worker.log)")
        }
        #expect(try await stand.count("l2s.document") == documents)
        #expect(
            try await stand.count(
                "l2s.document d JOIN l2s.result r ON r.document_id = d.id WHERE r.succeeded")
                == documents)
        #expect(try await stand.count("l2s.result") == documents)
        #expect(try await stand.count("l2s.lease") == 0)
        #expect(try await stand.count("l2s.batch WHERE outcome = 'expired'") >= 1)
        // The same document gives the same output, whoever makes it and in whatever batch.
        #expect(
            try await stand.count(
                """
                (SELECT FROM l2s.document d JOIN l2s.result r ON r.document_id = d.id
                 GROUP BY d.job_type, d.body HAVING count(DISTINCT r.output) > 1) AS differing
                """) == 0)
    }

    /// The terminal that a worker was started from sends SIGHUP when it is closed.
    @Test func aTerminalThatClosesDrainsTheWorkerUnlessItIsToLiveOn() async throws {
        let stand = try await TestStand()
        let worker = try stand.startWorker()
        try await stand.waitUntilRegistered(worker)
        worker.send(SIGHUP)
        #expect(await worker.waitForExit().code == 0, "\(worker.log)")
        #expect(worker.log.contains("draining"))
        #expect(try await stand.count("l2s.worker WHERE stopped_at IS NULL") == 0)

        let nohup = try #require(BuiltProgram(installed: "nohup"))
        let survivor = try nohup.start(
            [try BuiltProgram("l2s-worker").path, "--http-address", "off"],
            environment: ["L2S_DATABASE_URL": stand.database.connectionString])
        try await eventually("it registers") {
            try await stand.count("l2s.worker WHERE stopped_at IS NULL") == 1
        }
        survivor.send(SIGHUP)
        try await stand.sql.query(
            "SELECT l2s.enqueue((SELECT min(name) FROM l2s.job_type), 'A text that is short.')")
        try await eventually("it goes on") { try await stand.count("l2s.result") == 1 }
        survivor.send(SIGTERM)
        let ending = try await survivor.ending()
        #expect(ending.status == 0, "\(ending.remarks)")
    }

    @Test mutating func aSignalDrainsAndASecondOneStopsAtOnce() async throws {
        let stand = try await TestStand()
        let first = try stand.startWorker()
        try await stand.waitUntilRegistered(first)
        try await stand.enqueue(60, using: &random)
        try await eventually("the worker is in the middle of a batch: \(first.log)") {
            try await stand.isInTheMiddleOfABatch(first)
        }
        first.send(SIGTERM)
        #expect(await first.waitForExit().code == 0, "\(first.log)")
        #expect(try await stand.count("l2s.lease") == 0)
        #expect(try await stand.count("l2s.worker WHERE stopped_at IS NULL") == 0)
        // Unfinished documents are back in the queue, and nothing was charged to them.
        let left = try await stand.count("l2s.queue")
        #expect(left > 0)
        #expect(
            try await stand.count("l2s.queue WHERE state = 0 AND errors = 0 AND crashes = 0")
                == left)

        let second = try stand.startWorker()
        try await eventually("the worker has a batch: \(second.log)") {
            try await stand.count("l2s.lease") > 0
        }
        // Two signals of one kind might be delivered as one.
        second.send(SIGTERM)
        second.send(SIGINT)
        let code = await second.waitForExit().code
        #expect(code == 128 + SIGTERM || code == 128 + SIGINT, "\(second.log)")
        #expect(second.log.contains("stopped at once"))

        let third = try stand.startWorker("--until-empty")
        #expect(await third.waitForExit().code == 0, "\(third.log)")
        #expect(try await stand.count("l2s.result WHERE succeeded") == 60)
        #expect(try await stand.count("l2s.queue") == 0)
    }
}
