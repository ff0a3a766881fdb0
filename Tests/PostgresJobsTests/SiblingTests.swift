import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Siblings: jobs of several types that one call of l2s.enqueue made for one text.
@Suite struct SiblingTests {
    private let queue: QueueFixture

    init() async throws { queue = try await QueueFixture() }

    private func enqueue(
        _ jobTypes: [String] = ["summarize", "translate"], _ text: String = "one text",
        key: String? = nil, on connection: DatabaseConnection? = nil
    ) async throws -> [Int64] {
        try await (connection ?? queue.sql).query(
            "SELECT unnest(l2s.enqueue($1::text[], $2, dedupe_key => $3)) AS id",
            [.texts(jobTypes), .text(text), .text(key)]
        ).map { try $0.value("id") }
    }

    private func reports(_ ids: [Int64]) async throws -> [JobReport] {
        try await QueueClient(queue.sql).reports(ids)
    }

    // MARK: Enqueue

    @Test func aTextIsStoredOnceAndEachTypeHasItsJob() async throws {
        let ids = try await enqueue(["translate", "other-reader", "summarize"])
        let reports = try await reports(ids)
        #expect(reports.map(\.id) == ids && ids == ids.sorted())
        #expect(reports.map(\.jobType) == ["translate", "other-reader", "summarize"])
        #expect(reports.allSatisfy { $0.source == "one text" && $0.siblings == ids })
        #expect(try await queue.count("l2s.document WHERE body IS NOT NULL") == 1)
        let single = try await enqueue(["summarize"], "alone")
        #expect(try await self.reports(single).map(\.siblings) == [nil])
        let client = QueueClient(queue.sql)
        let both = try await client.enqueue([
            NewJob(jobTypes: ["summarize", "translate"], document: "a \"quoted\" text"),
            NewJob(jobTypes: ["translate"], document: "another"),
        ])
        #expect(
            try await self.reports(both).map(\.source)
                == ["a \"quoted\" text", "a \"quoted\" text", "another"])
        #expect(try await client.trace(ids[1])?.siblings == ids)
    }

    @Test func aKeyHoldsForEachType() async throws {
        let first = try await enqueue(["translate"], key: "k")
        let more = try await enqueue(["summarize", "translate", "other-reader"], key: "k")
        #expect(more[1] == first[0])
        // One of the new jobs holds the text.
        #expect(try await reports(more).map(\.source) == ["one text", "one text", "one text"])
        #expect(
            try await reports(more).compactMap(\.siblings) == [
                [more[0], more[2]], [more[0], more[2]],
            ])
        #expect(try await enqueue(["translate", "summarize"], key: "k") == [first[0], more[0]])
        #expect(try await queue.count("l2s.queue") == 3)
    }

    @Test(arguments: [
        ("ARRAY[]::text[], 'text'", "1 to 64 job types"), ("NULL::text[], 'text'", "1 to 64"),
        ("ARRAY['summarize', 'summarize'], 'text'", "got summarize twice"),
        ("ARRAY['summarize', 'nonsense'], 'text'", "unknown job type 'nonsense'"),
        ("ARRAY['summarize', NULL], 'text'", "unknown job type NULL"),
        ("ARRAY['summarize', 'translate'], ' '", "empty document"),
        ("ARRAY['summarize', 'translate'], NULL", "got NULL"),
        ("ARRAY['summarize', 'translate'], repeat('x', 20001)", "too large"),
    ])
    func whatCannotBeIsRefusedAsAWhole(arguments: String, words: String) async throws {
        await #expect {
            try await queue.sql.query("SELECT l2s.enqueue(\(arguments))")
        } throws: {
            ($0 as? DatabaseError)?.refusal?.message.contains(words) == true
        }
        #expect(try await queue.count("l2s.document") == 0)
    }

    /// A call for one type becomes a call with a list of one when it is planned, so it costs no
    /// more.
    @Test func oneTypeIsPlannedAsAListOfOne() async throws {
        let plan = try await queue.sql.query(
            "EXPLAIN (VERBOSE) SELECT l2s.enqueue('summarize', 'text ' || i) FROM generate_series(1, 2) AS i"
        ).map { try $0.value("QUERY PLAN", as: String.self) }.joined(separator: "\n")
        #expect(plan.contains("enqueue('{summarize}'::text[]"), "\(plan)")
    }

    // MARK: Claim

    @Test func siblingsComeInOneClaimBesideEachOther() async throws {
        let worker = try await queue.worker()
        // They lie far apart in the order of their types.
        try await queue.enqueue(300, "translate")
        let ids = try await enqueue()
        let claim = try #require(try await worker.claim(64))
        let places = claim.documents.indices.filter { ids.contains(claim.documents[$0].id) }
        #expect(places.count == 2 && places.last == places.first.map { $0 + 1 })
        #expect(places.allSatisfy { claim.documents[$0].text == "one text" })
        #expect(Set(claim.documents.map(\.id)).count == claim.documents.count)
        #expect(claim.documents.count <= 64)
    }

    @Test func aLimitOfATypeHoldsForSiblings() async throws {
        try await queue.sql.query(
            "UPDATE l2s.job_type SET concurrent_documents = 2 WHERE name = 'translate'")
        let worker = try await queue.worker()
        for number in 0..<5 { _ = try await enqueue(["summarize", "translate"], "text \(number)") }
        let claim = try #require(try await worker.claim(64))
        #expect(claim.documents.count { $0.jobType == "summarize" } == 5)
        #expect(claim.documents.count { $0.jobType == "translate" } == 2)
        #expect(try await worker.claim(64) == nil)
        try await worker.complete(claim)
        let rest = try #require(try await worker.claim(64))
        #expect(
            rest.documents.count == 2 && rest.documents.allSatisfy { $0.text.hasPrefix("text") })
    }

    @Test func claimsAtTheSameTimeDoNotPartSiblings() async throws {
        let ids = try await enqueue()
        let (first, second) = (try await queue.worker(), try await queue.worker())
        let other = try await queue.database.connect()
        try await other.query("BEGIN")
        let taken = try await other.query(
            "SELECT document_id FROM l2s.claim($1, 'large', '{summarize}', 1, 100, '30 s')",
            [.int(first.id.value)])
        #expect(try taken.map { try $0.value("document_id", as: Int64.self) } == [ids[0]])
        // A claim for the other type leaves the sibling to the claim that is still open.
        #expect(try await second.claim(1, jobTypes: ["translate"]) == nil)
        try await other.query("COMMIT")
        let rest = try await second.claim(1, jobTypes: ["translate"])
        #expect(rest?.documents.map(\.id) == [ids[1]])
    }

    /// Plans the statements of a claim that find siblings, with its settings and without any
    /// ANALYZE.
    @Test func siblingsAreFoundByTheirKeys() async throws {
        for _ in 0..<500 { _ = try await enqueue() }
        try await queue.sql.script(
            """
            SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
            SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan;
            PREPARE related(bigint[], bigint[], integer[]) AS
                SELECT q.document_id, q.ctid AS place, q.job_type FROM l2s.queue q
                WHERE q.document_id = ANY (ARRAY(
                      SELECT unnest(t.siblings) FROM l2s.queue t WHERE t.document_id = ANY ($1)))
                  AND q.document_id <> ALL ($2) AND q.state + 0 = 0
                  AND q.length_class = 0 AND q.job_type = ANY ($3)
                FOR NO KEY UPDATE SKIP LOCKED;
            """, name: "the settings of l2s.claim")
        let plan = try await queue.sql.query(
            "EXPLAIN EXECUTE related('{1}', '{1}', '{1}')"
        ).map { try $0.value("QUERY PLAN", as: String.self) }.joined(separator: "\n")
        #expect(plan.ranges(of: "Index Scan using queue_pkey").count == 2, "\(plan)")
    }

    // MARK: Each by itself

    @Test func whatBecomesOfOneDoesNotTouchTheOthers() async throws {
        let worker = try await queue.worker()
        let ids = try await enqueue(["summarize", "translate"], "first")
        let more = try await enqueue(["summarize", "translate"], "second")
        #expect(try await queue.cancel([more[0]]) == 1)
        let claim = try #require(try await worker.claim())
        #expect(Set(claim.documents.map(\.id)) == Set(ids + [more[1]]))
        // The job that holds the text is finished, and its sibling still gets the text.
        #expect(claim.documents.first { $0.id == more[1] }?.text == "second")
        var shared = FinishedDocument.fixture(ids[1], .done)
        var measurements = shared.measurements
        (measurements.encodeSource, measurements.stages.encode) = (.shared, .zero)
        shared = FinishedDocument(id: ids[1], outcome: .done, measurements: measurements)
        let receipt = try await worker.store.complete(
            worker.id, claim.lease,
            [
                .fixture(ids[0], .rejected(reason: "r")), shared,
                .fixture(more[1], .failed(reason: "f")),
            ])
        #expect(receipt.recorded == [ids[0], ids[1]] && receipt.retried == [more[1]])
        let ended = try await reports(ids + more)
        #expect(ended.map(\.state) == ["failed", "succeeded", "cancelled", "delayed"])
        #expect(ended[1].encodeSource == "shared" && ended[1].encode == 0)
        let trace = try #require(try await QueueClient(queue.sql).trace(ids[1]))
        #expect(
            trace.events.first { $0.name == "encode" }?.detail
                == "shared the reading of another document")
        // Each is retried by itself and has its text.
        #expect(try await QueueClient(queue.sql).retry([ids[0], more[0]]) == 2)
        _ = try await worker.store.promoteDelayed()
        let again = try #require(try await worker.claim())
        #expect(Set(again.documents.map(\.id)) == [ids[0], more[0], more[1]])
        #expect(
            again.documents.allSatisfy { $0.text == ($0.id == ids[0] ? "first" : "second") })
        try await worker.complete(again)
        #expect(
            try await reports(ids + more).map(\.state) == Array(repeating: "succeeded", count: 4))
    }

    @Test func afterACrashEachIsTriedAgain() async throws {
        let worker = try await queue.worker()
        let ids = try await enqueue()
        _ = try #require(try await worker.claim(lease: .zero))
        try await queue.expireLeases()
        #expect(try await worker.store.rescueExpired().suspects == 2)
        var ended: [Int64] = []
        while let claim = try await worker.claim() {
            #expect(claim.documents.allSatisfy { $0.text == "one text" && $0.attempt == 2 })
            try await worker.complete(claim)
            ended += claim.documents.map(\.id)
        }
        #expect(Set(ended) == Set(ids) && ended.count == 2)
    }

    // MARK: Retention

    @Test func aTextStaysWithTheLastOfItsSiblings() async throws {
        let worker = try await queue.worker()
        let client = QueueClient(queue.sql)
        _ = try await client.maintain()
        // Ids that reach into the next part would leave the text in this one.
        try await queue.sql.query("SELECT setval('l2s.document_id', 99999998)")
        let ids = try await enqueue()
        #expect(ids.allSatisfy { $0 >= 100_000_000 })
        try await queue.keep("0")
        _ = try await client.maintain()
        let claim = try #require(try await worker.claim())
        _ = try await worker.store.complete(worker.id, claim.lease, [.fixture(ids[0], .done)])
        _ = try await client.maintain()
        #expect(try await reports(ids).map(\.source) == ["one text", "one text"])
        _ = try await worker.store.complete(worker.id, claim.lease, [.fixture(ids[1], .done)])
        try await queue.drop(part: 1)
        #expect(try await queue.count("l2s.document") == 0)
    }
}
