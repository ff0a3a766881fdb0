import Jobs
import Postgres
import PostgresJobs
import Testing

@Suite struct ClaimTests {
    @Test func takesTheGreatestPriorityFirstThenTheOldest() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let ids = try await queue.sql.query(
            """
            SELECT l2s.enqueue('summarize', 'text', priority => p) AS id
            FROM unnest(ARRAY[0, 5, -3, 5]) WITH ORDINALITY AS o(p, i) ORDER BY i
            """
        ).map { try $0.value("id", as: Int64.self) }
        let first = try #require(try await worker.claim(3))
        #expect(first.documents.map(\.id) == [ids[1], ids[3], ids[0]])
        #expect(first.documents.map(\.attempt) == [1, 1, 1])
        #expect(try await worker.claim()?.documents.map(\.id) == [ids[2]])
        #expect(try await worker.claim() == nil)
    }

    @Test func batchesAreOfOneLengthClassAndMixJobTypesOfOneEncoder() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.sql.query(
            """
            SELECT l2s.enqueue(t, repeat('word', n))
            FROM unnest(
                ARRAY['summarize', 'translate', 'other-reader', 'summarize', 'translate'],
                ARRAY[1000, 10, 10, 10, 1000]) WITH ORDINALITY AS r(t, n, i) ORDER BY i
            """)
        let claims = [try await worker.claim(), try await worker.claim()].compactMap { $0 }
        // Chance picks the job type whose first document decides the length class.
        #expect(Set(claims.map(\.lengthClass)) == [.upTo1024, .upTo128])
        for claim in claims {
            #expect(Set(claim.documents.map(\.jobType)) == ["summarize", "translate"])
        }
        #expect(try await worker.claim() == nil)
        #expect(
            try await worker.claim(encoder: "large-b", jobTypes: ["other-reader"])?.documents.count
                == 1)
    }

    /// Whatever the metadata is, a claim never fails, and it returns the `traceparent` as it
    /// stands.
    @Test func carriesTheTraceContextGivenAtEnqueue() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let cases: [(metadata: String?, expected: String?)] = [
            (#"{"traceparent": "\#(context)", "source": "feed"}"#, context), (nil, nil),
            (#"{"source": "feed"}"#, nil), (#"{"traceparent": null}"#, nil),
            (#"{"traceparent": 12}"#, "12"), (#"["traceparent"]"#, nil), (#""traceparent""#, nil),
        ]
        for (metadata, _) in cases {
            try await queue.sql.query(
                "SELECT l2s.enqueue('summarize', 'text', metadata => $1::jsonb)",
                [.text(metadata)])
        }
        let claim = try #require(try await worker.claim())
        #expect(claim.documents.map(\.traceparent) == cases.map(\.expected))
    }

    @Test func lengthClassesAgreeBetweenSwiftAndSQL() async throws {
        let queue = try await QueueFixture()
        for tokens in [0, 1, 128, 129, 256, 257, 512, 513, 1024, 1025, 2048, 2049, 1_000_000] {
            let number: Int = try await queue.sql.query(
                "SELECT l2s.length_class($1)", [.int(tokens)]
            ).single()
            #expect(number == LengthClass(tokens: tokens).rawValue)
        }
    }

    @Test func keepsToTheTokenBudgetButTakesOneAtLeast() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.sql.query(
            "SELECT l2s.enqueue('summarize', repeat('x', 399)) FROM generate_series(1, 10)")
        #expect(try await worker.claim(tokens: 350)?.documents.count == 3)
        #expect(try await worker.claim(tokens: 1)?.documents.count == 1)
        #expect(try await worker.claim()?.documents.count == 6)
    }

    @Test func onlyKnownAndUnpausedTypesAreTaken() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(1, "summarize")
        try await queue.enqueue(1, "translate")
        #expect(
            try await worker.claim(jobTypes: ["translate"])?.documents.map(\.jobType)
                == ["translate"])
        for (pause, resume) in [("'summarize'", "'summarize'"), ("", "")] {
            try await queue.sql.query("SELECT l2s.pause(\(pause))")
            #expect(try await worker.claim() == nil)
            #expect(
                try await queue.sql.query(
                    "SELECT l2s.has_work($1, '{summarize}')", [.int(worker.id.value)]
                ).single() == false)
            try await queue.sql.query("SELECT l2s.resume(\(resume))")
        }
        #expect(try await worker.claim()?.documents.map(\.jobType) == ["summarize"])
        await #expect(throws: DatabaseError.self) {
            try await queue.sql.query("SELECT l2s.pause('nonsense')")
        }
    }

    @Test func waitingDocumentsFollowATypeToItsNewEncoder() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.enqueue(2)
        try await JobTypeTable.write([.fixture("summarize", llm: "large-b")], queue.sql)
        #expect(try await worker.claim() == nil)
        #expect(
            try await worker.claim(encoder: "large-b", jobTypes: ["summarize"])?.documents.count
                == 2)
    }

    @Test func delayedDocumentsWaitForTheirTime() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        try await queue.sql.query(
            "SELECT l2s.enqueue('summarize', 'text', run_at => now() + interval '1 hour')")
        #expect(try await worker.store.promoteDelayed() == 0)
        #expect(try await worker.claim() == nil)
        try await queue.sql.query("UPDATE l2s.queue SET run_at = now()")
        #expect(try await worker.store.promoteDelayed() == 1)
        #expect(try await worker.claim()?.documents.count == 1)
    }

    @Test func concurrentWorkersGetEveryDocumentOnce() async throws {
        let queue = try await QueueFixture()
        try await queue.enqueue(3000)
        try await withThrowingTaskGroup(of: CompletionReceipt.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    let worker = try await queue.worker()
                    var total = CompletionReceipt()
                    while try await worker.store.unfinished(["summarize"]).due > 0 {
                        guard let claim = try await worker.claim(64) else { continue }
                        let receipt = try await worker.complete(claim)
                        total.recorded += receipt.recorded
                        total.stale += receipt.stale
                    }
                    return total
                }
            }
            var recorded: [Int64] = []
            for try await receipt in group {
                #expect(receipt.stale == [])
                recorded += receipt.recorded
            }
            #expect(recorded.count == 3000 && Set(recorded).count == 3000)
        }
        #expect(try await queue.count("l2s.result WHERE succeeded") == 3000)
        #expect(try await queue.count("l2s.lease") == 0)
        #expect(
            try await queue.sql.query("SELECT sum(documents) FROM l2s.batch").single() == 3000)
    }

    /// A claim reads nothing that lies between the documents of its batch, even with many
    /// partitions.
    @Test func documentsThatLieFarApartAreReadAlone() async throws {
        let queue = try await QueueFixture()
        let worker = try await queue.worker()
        for _ in 0..<90 {
            try await queue.sql.query(
                """
                SELECT l2s.add_part(number + 1, after_id, after_id + 1000000)
                FROM l2s.part ORDER BY number DESC LIMIT 1
                """)
        }
        try await queue.sql.query(
            """
            SELECT l2s.enqueue('summarize', 'text', priority => (i % 1000 = 1)::integer)
            FROM generate_series(1, 3001) AS i
            """)
        try await queue.sql.query("ANALYZE")
        let read: Int = try await queue.sql.transaction { sql in
            try sql.query(
                "SELECT l2s.claim($1, 'large', '{summarize}', 4, 1000, '30 s')",
                [.int(worker.id.value)])
            return try sql.query(
                "SELECT pg_stat_get_xact_tuples_returned('l2s.document_0_pkey'::regclass)"
            ).single()
        }
        #expect(read == 4)
    }

    @Test func plansStayOnTheIndexWithoutStatistics() async throws {
        let queue = try await QueueFixture()
        try await queue.enqueue(2000)
        // The claim's settings and its inner query, without any ANALYZE before.
        try await queue.sql.script(
            """
            SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
            SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan;
            PREPARE pick(integer, smallint, integer) AS
                SELECT q.document_id, q.rank, q.turn, q.tokens FROM l2s.queue q
                WHERE q.state = 0 AND q.job_type = $1 AND q.length_class = $2
                  AND (q.siblings IS NULL OR q.document_id <> ALL ('{}')
                      AND pg_try_advisory_xact_lock(1, hashint8(q.siblings[1])))
                ORDER BY q.job_type, q.length_class, q.rank, q.turn, q.document_id LIMIT $3
                FOR NO KEY UPDATE SKIP LOCKED;
            """, name: "the settings of l2s.claim")
        let plan = try await queue.sql.query(
            "EXPLAIN EXECUTE pick(1, 0::smallint, 256)"
        ).map { try $0.value("QUERY PLAN", as: String.self) }.joined(separator: "\n")
        #expect(plan.contains("Index Scan using queue_ready"))
        #expect(!plan.contains("Sort"))
    }
}
