import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct StreamTests {
    /// A key made of a time or a sequence would skip a result that was written first and committed
    /// last.
    @Test func whatCommitsLateIsNotLeftOut() async throws {
        let queue = try await QueueFixture()
        let (slow, fast) = (try await queue.worker(), try await queue.worker())
        let ids = try await queue.enqueue(3)
        let first = try #require(try await slow.claim(1))
        let late = try await queue.database.connect()
        try await late.query("BEGIN")
        try await late.query(
            "SELECT l2s.complete($1, $2, $3)",
            [
                .int(slow.id.value), .int(first.lease.value),
                .text("{\"(\(ids[0]),succeeded,late,,,,,,,,,,,,,,,)\"}"),
            ])
        try await fast.complete(try #require(try await fast.claim(1)))
        let client = QueueClient(queue.sql)
        #expect(try await client.completed(after: nil, group: nil).isEmpty)
        try await late.query("COMMIT")
        let both = try await client.completed(2, after: nil)
        #expect(both.map(\.id) == [ids[0], ids[1]])
        try await fast.complete(try #require(try await fast.claim(1)))
        #expect(try await client.completed(2, after: both[0].key).map(\.id) == [ids[1], ids[2]])
        #expect(try await client.completed(1, after: both[1].key).map(\.id) == [ids[2]])
    }

    @Test func aGroupsResultsComeInPagesOnceEach() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(30, group: "g")
        try await queue.enqueue(30)
        let client = QueueClient(queue.sql)
        var (seen, key): ([Int64], String?) = ([], nil)
        while let claim = try await worker.claim(7) {
            try await worker.complete(claim)
            let page = try await client.completed(after: key, group: "g", limit: 5)
            seen += page.map(\.id)
            key = page.last?.key ?? key
        }
        try await eventually("the rest is shown") {
            let isLast = try await client.completion(ofGroup: "g") == .shown
            let page = try await client.completed(after: key, group: "g", limit: 5)
            seen += page.map(\.id)
            key = page.last?.key ?? key
            return isLast && page.isEmpty
        }
        #expect(seen.count == 30 && Set(seen).count == 30)
    }

    @Test func aKeyThatIsNoneIsRefused() async throws {
        let queue = try await QueueFixture()
        let error = await #expect(throws: DatabaseError.self) {
            try await queue.sql.query("SELECT * FROM l2s.completed(after => '1; DROP')")
        }
        #expect(error?.refusal?.sqlState == "22023")
    }

    @Test func onlyWhoAskedIsToldOfTheEnd() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let listener = try await queue.database.connect()
        try await listener.listen(to: "l2s_done")
        try await queue.enqueue(2)
        try await worker.complete(try #require(try await worker.claim()))
        #expect(try await listener.waitForNotification(timeout: .milliseconds(50)) == false)
        try await queue.sql.query(
            "SELECT l2s.enqueue('summarize', 'text', notify => true) FROM generate_series(1, 700)")
        while let claim = try await worker.claim() { try await worker.complete(claim) }
        #expect(try await listener.waitForNotification(timeout: .seconds(TestDatabase.patience)))
    }
}

extension QueueClient {
    /// Waits until it shows so many results. Transactions of other tests may hold the stream up.
    fileprivate func completed(_ count: Int, after key: String?) async throws -> [CompletedDocument]
    {
        var page: [CompletedDocument] = []
        try await eventually("\(count) results are shown") {
            page = try await completed(after: key, group: nil)
            return page.count >= count
        }
        return page
    }
}
