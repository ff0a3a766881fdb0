import Jobs
import Postgres
import PostgresJobs
import Testing

@Suite struct AgreementTests {
    @Test func isKeptWithTheResultAndCountedOnce() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let ids = try await queue.enqueue(4)
        let claim = try #require(try await worker.claim())
        let agreements: [Double?] = [nil, 0.5, 1, 0.25]
        let documents = zip(ids, agreements).map(FinishedDocument.compared)
        // The second call stands for a worker whose answer was lost.
        for _ in 0..<2 {
            let receipt = try await worker.store.complete(worker.id, claim.lease, documents)
            #expect(receipt == CompletionReceipt(recorded: ids))
        }
        let rows = try await queue.sql.query("SELECT agreement FROM l2s.jobs ORDER BY id")
        let found = try rows.map { try $0.optional("agreement", as: Double.self) }
        #expect(found == agreements)
        let minutes = try await queue.sql.query(
            """
            SELECT sum(documents)::bigint AS documents, sum(shadowed)::bigint AS shadowed,
                   sum(agreement * shadowed) / sum(shadowed) AS agreement
            FROM l2s.throughput
            """)
        let minute = try #require(minutes.first)
        #expect(try minute.value("documents") == 4)
        #expect(try minute.value("shadowed") == 3)
        let mean: Double = try minute.value("agreement")
        #expect(abs(mean - 1.75 / 3) < 1e-6)
    }

    @Test func whoLostTheLeaseAddsNothing() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(1)
        let claim = try #require(try await worker.claim())
        _ = try await worker.store.release(worker.id, claim.lease, claim.documents.map(\.id))
        let late = FinishedDocument.compared(claim.documents[0].id, agreement: 1)
        let receipt = try await worker.store.complete(worker.id, claim.lease, [late])
        #expect(receipt.stale == claim.documents.map(\.id))
        #expect(try await queue.count("l2s.shadow_minute") == 0)
    }
}

extension FinishedDocument {
    fileprivate static func compared(_ id: Int64, agreement: Double?) -> FinishedDocument {
        var measurements = fixture(id, .done).measurements
        measurements.agreement = agreement
        return FinishedDocument(id: id, outcome: .done, measurements: measurements)
    }
}
