import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct RetentionTests {
    @Test func finishedPartsGoAndUnfinishedDocumentsStay() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let client = QueueClient(queue.sql)
        try await queue.keep("0")
        let old = try await queue.enqueue(3)
        #expect(
            try await client.maintain().done == [
                "made document_1", "made document_2", "began document_1",
            ])
        let new = try await queue.enqueue(2)
        #expect(try #require(new.first) >= 100_000_000)
        let claim = try #require(try await worker.claim())
        #expect(claim.documents.map(\.id) == old + new)
        _ = try await worker.store.complete(
            worker.id, claim.lease, old.dropLast().map { .fixture($0, .done) })
        #expect(
            try await client.maintain().done == [
                "made document_3", "began document_2",
                "kept document_0: 1 documents in it are not finished",
            ])
        _ = try await worker.store.complete(
            worker.id, claim.lease, (old.suffix(1) + new).map { .fixture($0, .done) })
        // Documents that finished more recently than the time to keep stay.
        try await queue.keep("1 hour")
        let early = try await client.maintain().done
        #expect(!early.contains { $0.hasPrefix("dropped") }, "\(early)")
        #expect(try await queue.count("l2s.jobs") == 5)
        try await queue.keep("0")
        let lines = try await queue.drop(part: 0)
        #expect(lines.contains { $0.hasPrefix("dropped document_0") }, "\(lines)")
        try await queue.drop(part: 1)
        #expect(try await queue.count("l2s.jobs") == 0)
        #expect(try await queue.count("pg_class WHERE relname = 'result_1'") == 0)
        // The queue goes on.
        try await queue.enqueue(1)
        try await worker.complete(try #require(try await worker.claim()))
        #expect(try await queue.count("l2s.jobs WHERE state = 'succeeded'") == 1)
    }

    /// Each part takes a hundred million ids, so after 22 parts they no longer fit 31 bits.
    @Test(arguments: [1 << 31, 1 << 53])
    func idsMayBeLarge(id: Int) async throws {
        let queue = try await QueueFixture(attempts: 2)
        let worker = try await queue.worker()
        let client = QueueClient(queue.sql)
        try await queue.sql.query(
            "SELECT l2s.add_part(1000, $1::bigint, $1::bigint + 100000000)", [.int(Int64(id))])
        try await queue.sql.query("SELECT setval('l2s.document_id', $1)", [.int(Int64(id) - 1)])
        let ids = try await queue.enqueue(3)
        #expect(ids == [0, 1, 2].map { Int64(id) + $0 })
        #expect(try await client.cancel([ids[2]]) == 1)
        try await worker.complete(try #require(try await worker.claim(1)))
        try await worker.complete(try #require(try await worker.claim()), .rejected(reason: "x"))
        #expect(try await client.retry([ids[1], ids[2]]) == 2)
        try await worker.complete(try #require(try await worker.claim()))
        #expect(try await client.maintain().failures == [])
        try await eventually("all are shown") {
            try await Set(client.completed(after: nil, group: nil).map(\.id)) == Set(ids)
        }
    }

    @Test func oneWorkerDoesItForAll() async throws {
        let queue = try await QueueFixture()
        let (first, second) = (try await queue.worker(), try await queue.worker())
        #expect(try await first.store.maintain().done == ["made document_1", "made document_2"])
        try await queue.keep("90 days")
        try await queue.enqueue(1)
        #expect(try await second.store.maintain().done == [])
        try await queue.letTheLastLookBeLongAgo()
        #expect(try await second.store.maintain().done == ["began document_1"])
    }

    @Test func minutesThatAreOverAreCountedOnce() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(10)
        for _ in 0..<2 { try await worker.complete(try #require(try await worker.claim(5))) }
        func rows() async throws -> [String] {
            try await queue.sql.query("SELECT row_to_json(t)::text AS row FROM l2s.throughput t")
                .map { try $0.value("row") }
        }
        try await queue.sql.query(
            """
            UPDATE l2s.result SET finished_at = finished_at - interval '1 hour',
                claimed_at = claimed_at - interval '1 hour'
            """)
        let live = try await rows()
        #expect(live.count == 1 && live[0].contains("\"documents\":10"))
        #expect(
            try await QueueClient(queue.sql).maintain().done.last
                == "counted the throughput of minutes that are over")
        #expect(try await queue.count("l2s.minute") == 1)
        #expect(try await rows() == live)
        try await queue.sql.query("TRUNCATE l2s.result")
        #expect(try await rows() == live)
    }
}
