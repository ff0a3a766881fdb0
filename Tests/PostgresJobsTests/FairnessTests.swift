import Jobs
import Postgres
import PostgresJobs
import Testing

@Suite struct FairnessTests {
    @Test func aTenantsManyDocumentsDoNotHoldBackAnothersFew() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(5000, tenant: "big")
        for _ in 0..<3 { try await worker.complete(try #require(try await worker.claim(64))) }
        let few = try await queue.enqueue(10, tenant: "small")
        let long = try await queue.enqueue(
            3, tenant: "long", text: String(repeating: "x", count: 900))
        var (claims, missing) = (0, Set(few + long))
        while !missing.isEmpty {
            let claim = try #require(try await worker.claim(16))
            claims += 1
            missing.subtract(claim.documents.map(\.id))
            try await worker.complete(claim)
        }
        // The documents of the two small tenants take the turns of 4 batches, with the big tenant's
        // share between them.
        #expect(claims <= 8)
        #expect(try await queue.count("l2s.queue") > 4500)
    }

    @Test func twoTenantsWithMuchToDoShareEqually() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let first = Set(try await queue.enqueue(600, tenant: "first"))
        _ = try await queue.enqueue(600, tenant: "second")
        var counts = [0, 0]
        for _ in 0..<6 {
            let claim = try #require(try await worker.claim(50))
            for document in claim.documents { counts[first.contains(document.id) ? 0 : 1] += 1 }
            try await worker.complete(claim)
        }
        #expect(abs(counts[0] - counts[1]) <= 10, "\(counts)")
    }

    @Test func delayedDocumentsComeInTurnToo() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.sql.query(
            """
            SELECT l2s.enqueue('summarize', 'text', tenant => 'big', run_at => now() + interval '1 hour')
            FROM generate_series(1, 500)
            """)
        try await queue.sql.query("UPDATE l2s.queue SET run_at = now()")
        #expect(try await worker.store.promoteDelayed() == 500)
        let few = try await queue.enqueue(5, tenant: "small")
        let claim = try #require(try await worker.claim(32))
        #expect(Set(few).isSubset(of: claim.documents.map(\.id)))
    }

    @Test func priorityGoesBeforeTurns() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let urgent = try await queue.enqueue(20, tenant: "big", priority: 5)
        try await queue.enqueue(5, tenant: "small")
        #expect(try await worker.claim(20)?.documents.map(\.id) == urgent)
    }

    @Test func aJobTypeKeepsToItsLimitUnderConcurrentClaims() async throws {
        let queue = try await QueueFixture()
        var limited = JobType.fixture("summarize")
        limited.limits.concurrentDocuments = 10
        try await JobTypeTable.write([limited], queue.sql)
        try await queue.enqueue(200)
        try await queue.enqueue(5, "translate")
        let workers = [
            try await queue.worker(), try await queue.worker(), try await queue.worker(),
            try await queue.worker(),
        ]
        let claims = try await withThrowingTaskGroup(of: (WorkerID, Claim?).self) { group in
            for worker in workers { group.addTask { (worker.id, try await worker.claim(8)) } }
            return try await group.reduce(into: [(WorkerID, Claim)]()) { claims, answer in
                if let claim = answer.1 { claims.append((answer.0, claim)) }
            }
        }
        let documents = claims.flatMap(\.1.documents)
        #expect(documents.filter { $0.jobType == "summarize" }.count <= 10)
        // Further claims hand out what the limit still allows. Then there is nothing to do.
        while try await workers[0].claim(8) != nil {}
        let running = "l2s.jobs WHERE state = 'running' AND job_type"
        #expect(try await queue.count("\(running) = 'summarize'") == 10)
        #expect(try await queue.count("\(running) = 'translate'") == 5)
        #expect(
            try await workers[0].store.waitForWork(
                workers[0].id, jobTypes: ["summarize"], timeout: .zero) == false)
        // Documents that are given back make room.
        let (owner, claim) = try #require(claims.first)
        _ = try await workers[0].store.release(owner, claim.lease, claim.documents.map(\.id))
        #expect(try await workers[1].claim() != nil)
        #expect(try await queue.count("\(running) = 'summarize'") == 10)
    }
}

extension QueueFixture {
    @discardableResult
    fileprivate func enqueue(
        _ count: Int, tenant: String, text: String = "text", priority: Int = 0
    ) async throws -> [Int64] {
        try await sql.query(
            """
            SELECT l2s.enqueue('summarize', $3, priority => $4, tenant => $1) AS id
            FROM generate_series(1, $2)
            """, [.text(tenant), .int(count), .text(text), .int(priority)]
        ).map { try $0.value("id") }
    }
}
