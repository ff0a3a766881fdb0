import Jobs
import Postgres
import PostgresJobs
import Testing

@Suite struct CompleteTests {
    @Test func aSuccessIsShownWithStagesThatSumToItsTime() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(2)
        let claim = try #require(try await worker.claim())
        let running = try #require(try await queue.jobs().first)
        #expect(try running.value("state") == "running")
        #expect(try running.value("worker") == "test:7")
        let receipt = try await worker.complete(claim)
        #expect(receipt == CompletionReceipt(recorded: claim.documents.map(\.id)))

        let row = try #require(
            try await queue.sql.query(
                """
                SELECT *, extract(epoch FROM finished_at - claimed_at) * 1000 AS span,
                       tokenize_ms + batch_wait_ms + encode_ms + handoff_ms + decode_ms
                           + writeback_ms AS stages,
                       extract(epoch FROM claimed_at - enqueued_at) * 1000 AS waited
                FROM l2s.jobs ORDER BY id
                """
            ).first)
        #expect(try row.value("state") == "succeeded")
        #expect(try row.value("output") == "out")
        #expect(try row.optional("error", as: String.self) == nil)
        #expect(try row.value("attempt") == 1)
        #expect(try row.value("mode") == "hybrid")
        #expect(try row.value("model") == "small")
        #expect(try row.value("tokens_in") == 12)
        #expect(try row.value("tokens_out") == 2)
        #expect(try row.value("batch_size") == 4)
        #expect(try row.value("parts") == 1)
        #expect(try row.value("truncated") == false)
        #expect(try row.value("cut_off") == 2)
        #expect(try row.value("encode_ms") == 0.03)
        #expect(try row.value("writeback_ms", as: Double.self) > 0)
        let (span, stages): (Double, Double) = (try row.value("span"), try row.value("stages"))
        #expect(abs(span - stages) <= 0.001 * span)
        let (waited, queued): (Double, Double) = (
            try row.value("waited"), try row.value("queue_ms")
        )
        #expect(abs(waited - queued) <= 0.001 * waited)
        #expect(try await queue.count("l2s.queue") == 0)
        #expect(try await queue.count("l2s.lease") == 0)
        #expect(try await queue.count("l2s.batch WHERE outcome = 'finished'") == 1)
    }

    @Test func aPartKeepsTheLeaseOpenUntilTheRest() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(3)
        let claim = try #require(try await worker.claim())
        _ = try await worker.store.complete(worker.id, claim.lease, [.fixture(ids[1], .done)])
        #expect(try await queue.count("l2s.lease") == 1)
        _ = try await worker.store.complete(
            worker.id, claim.lease, [.fixture(ids[0], .done), .fixture(ids[2], .done)])
        #expect(try await queue.count("l2s.lease") == 0)
        #expect(try await queue.count("l2s.result") == 3)
    }

    @Test func askingAgainIsAnsweredAsTheFirstTime() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(3)
        let claim = try #require(try await worker.claim())
        let report = zip(ids, [.done, .failed(reason: "f"), .rejected(reason: "r")])
            .map { FinishedDocument.fixture($0, $1) }
        for _ in 0..<2 {
            let receipt = try await worker.store.complete(worker.id, claim.lease, report)
            #expect(receipt == CompletionReceipt(recorded: [ids[0], ids[2]], retried: [ids[1]]))
        }
        #expect(try await queue.count("l2s.result") == 2)
        #expect(try await queue.count("l2s.attempt_error") == 2)
        #expect(try await queue.count("l2s.queue WHERE errors = 1 AND state = 2") == 1)
    }

    @Test func textsArriveAsTheyAreWhateverTheyHold() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let text = "\"quoted\" \\ back\\u0041 {(,)} '' \\\"\n\t\u{1} €🦉"
        let ids = try await queue.enqueue(5)
        let claim = try #require(try await worker.claim())
        let outputs = [text + "\0", "", "NULL", "\\"]
        let reports = zip(ids, outputs).map {
            FinishedDocument.fixture($0, .succeeded(output: $1, tokens: []))
        }
        _ = try await worker.store.complete(worker.id, claim.lease, reports)
        _ = try await worker.store.complete(
            worker.id, claim.lease, [.fixture(ids[4], .rejected(reason: text))])
        let jobs = try await queue.jobs()
        #expect(
            try jobs.prefix(4).map { try $0.value("output") }
                == [text + "\u{fffd}", "", "NULL", "\\"])
        #expect(try jobs[4].value("error") == text)
    }

    @Test func failuresAreRetriedWithBackoffUntilTheLastAttempt() async throws {
        let queue = try await QueueFixture(attempts: 3, backoff: .seconds(8))
        let worker = try await queue.worker()
        try await queue.enqueue(1)
        for delay in [8.0, 16.0] {
            let claim = try #require(try await worker.claim())
            try await worker.complete(
                claim, .failed(reason: "attempt \(claim.documents[0].attempt)"))
            let row = try #require(
                try await queue.sql.query(
                    """
                    SELECT j.*, extract(epoch FROM q.run_at - e.failed_at) AS delay
                    FROM l2s.jobs j JOIN l2s.queue q ON q.document_id = j.id
                    JOIN l2s.attempt_error e ON e.document_id = j.id AND e.attempt = j.attempt
                    """
                ).first)
            #expect(try row.value("state") == "delayed")
            #expect(try row.value("error") == "attempt \(claim.documents[0].attempt)")
            let found: Double = try row.value("delay")
            #expect((0.75 * delay...1.25 * delay).contains(found))
            #expect(try await worker.claim() == nil)
            try await queue.sql.query("UPDATE l2s.queue SET run_at = now()")
            #expect(try await worker.store.promoteDelayed() == 1)
        }
        let last = try #require(try await worker.claim())
        #expect(last.documents[0].attempt == 3)
        try await worker.complete(last, .failed(reason: "the end"))
        let row = try #require(try await queue.jobs().first)
        #expect(try row.value("state") == "failed")
        #expect(try row.value("error") == "the end")
        #expect(try row.value("attempt") == 3)
        #expect(try await queue.count("l2s.attempt_error") == 3)
        #expect(try await queue.count("l2s.queue") == 0)
    }

    @Test func aRejectedDocumentIsNotTriedAgain() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(1)
        let claim = try #require(try await worker.claim())
        try await worker.complete(claim, .rejected(reason: "too long"))
        let row = try #require(try await queue.jobs().first)
        #expect(try row.value("state") == "failed")
        #expect(try row.value("error") == "too long")
        #expect(try row.value("attempt") == 1)
        #expect(try await queue.count("l2s.queue") == 0)
    }

    @Test func throughputCountsTheMinute() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(4)
        let claim = try #require(try await worker.claim())
        _ = try await worker.store.complete(
            worker.id, claim.lease,
            ids.map { .fixture($0, $0 == ids[0] ? .rejected(reason: "r") : .done) })
        let reports = try await QueueClient(queue.sql).throughput()
        #expect(reports.count == 1)
        let report = try #require(reports.first)
        #expect((report.documents, report.failures) == (4, 1))
        #expect((report.tokensIn, report.tokensOut) == (48, 8))
        #expect(abs(report.tokensPerSecond / report.documentsPerSecond - 14) < 1e-9)
        let encode = try #require(report.encode.p99)
        #expect(abs(encode - 0.03) < 1e-6)
        let (total, waited) = (try #require(report.total.p50), try #require(report.queue.p50))
        #expect(total > waited)
    }
}
