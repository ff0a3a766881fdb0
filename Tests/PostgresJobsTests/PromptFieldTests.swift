import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Prompts with fields of a document's metadata: what l2s.enqueue refuses, and what claims return.
@Suite struct PromptFieldTests {
    private let queue: QueueFixture

    init() async throws {
        queue = try await QueueFixture()
        try await write("translate to {metadata.language}: {document}")
    }

    /// Writes the job type as a worker with such a job file does at its start.
    private func write(_ prompt: String, decoder: String? = nil) async throws {
        var type = JobType.fixture("translate")
        type.prompt = try #require(PromptTemplate(prompt))
        type.decoderPrompt = try decoder.map { try #require(PromptTemplate(decoder: $0)) }
        try await JobTypeTable.write([type], queue.sql)
    }

    private func refusal(_ call: String) async throws -> DatabaseError.Refusal? {
        let error = await #expect(throws: DatabaseError.self) {
            try await queue.sql.query("SELECT \(call)")
        }
        #expect(try await queue.count("l2s.document") == 0)
        return error?.refusal
    }

    @Test(arguments: [
        ("NULL", "nothing"), ("'{}'", "nothing"), (#"'{"Language": "Italian"}'"#, "nothing"),
        (#"'["language"]'"#, "nothing"), (#"'"language"'"#, "nothing"),
        (#"'{"language": 7}'"#, "JSON of type number"),
        (#"'{"language": null}'"#, "JSON of type null"),
        (#"'{"language": ["Italian"]}'"#, "JSON of type array"),
        (#"'{"language": {"text": "Italian"}}'"#, "JSON of type object"),
        (#"'{"language": ""}'"#, "white space"),
        (#"'{"language": " \t\u00a0\u200b"}'"#, "white space"),
        ("jsonb_build_object('language', repeat('x', 1001))", "1001 bytes"),
        ("jsonb_build_object('language', repeat('é', 501))", "1002 bytes"),
    ])
    func aDocumentWithoutThemIsRefused(metadata: String, found: String) async throws {
        for call in [
            "l2s.enqueue('translate', 'text', metadata => \(metadata))",
            "l2s.enqueue(ARRAY['translate'], 'text', metadata => \(metadata))",
            "l2s.enqueue(ARRAY['summarize', 'translate'], 'text', metadata => \(metadata))",
            "l2s.enqueue('translate', 'text ' || i, metadata => \(metadata)) FROM generate_series(1, 3) i",
        ] {
            let refusal = try #require(try await refusal(call))
            #expect(refusal.sqlState == "22023")
            #expect(
                refusal.message
                    == "expected metadata.language to be a text of 1 to 1000 bytes for job type "
                    + "translate, got \(found)")
            #expect(refusal.hint?.contains(#"metadata => '{"language": "…"}'"#) == true)
        }
    }

    @Test func claimsBringThemAndNothingElse() async throws {
        let longest = String(repeating: "é", count: 500)
        let texts = ["Italian", #"a, "b" {c} \ NULL"#, "NULL", " two words ", longest]
        for text in texts {
            try await queue.sql.query(
                """
                SELECT l2s.enqueue('translate', 'text', metadata => jsonb_build_object(
                    'language', $1::text, 'secret', 'not for workers'))
                """, [.text(text)])
        }
        try await queue.sql.query(
            """
            SELECT l2s.enqueue(ARRAY['summarize', 'translate'], 'text', metadata => '{"language": "both"}')
            """)
        try await queue.enqueue(1)
        let worker = try await queue.worker()
        let claim = try #require(try await worker.claim(fields: ["absent", "language"]))
        #expect(
            Set(claim.documents.map(\.fields))
                == Set((texts + ["both"]).map { ["language": $0] } + [[:]]))
        #expect(claim.documents.count { $0.fields == ["language": "both"] } == 2)
    }

    @Test func aWorkerThatAsksForNoneGetsNone() async throws {
        try await queue.sql.query(
            #"SELECT l2s.enqueue('translate', 'text', metadata => '{"language": "Italian"}')"#)
        let claim = try #require(try await queue.worker().claim())
        #expect(claim.documents.map(\.fields) == [[:]])
    }

    @Test func theyComeAgainWithEveryAttempt() async throws {
        let id: Int64 = try await queue.sql.query(
            #"SELECT l2s.enqueue('translate', 'text', metadata => '{"language": "Italian"}')"#
        ).single()
        let worker = try await queue.worker()
        for number in 1...3 {
            let claim = try #require(try await worker.claim(fields: ["language"]))
            #expect(claim.documents.map(\.fields) == [["language": "Italian"]])
            #expect(claim.documents.map(\.attempt) == [number])
            try await worker.complete(claim, .failed(reason: "a test"))
            #expect(try await worker.store.promoteDelayed() == (number < 3 ? 1 : 0))
        }
        #expect(try await worker.claim(fields: ["language"]) == nil)
        #expect(try await QueueClient(queue.sql).retry([id]) == 1)
        let claim = try #require(try await worker.claim(fields: ["language"]))
        #expect(claim.documents.map(\.fields) == [["language": "Italian"]])
    }

    /// The job file of the worker that started last applies.
    @Test func aYoungerJobFileChangesWhatIsAsked() async throws {
        try await write("{document}", decoder: "<|im_start|>{metadata.language}, {metadata.tone}\n")
        let refusal = try #require(
            try await refusal(
                #"l2s.enqueue('translate', 'text', metadata => '{"language": "Italian"}')"#))
        #expect(refusal.message.hasPrefix("expected metadata.tone to be a text"))
        try await write("{document}")
        try await queue.enqueue(1, "translate")
        // An older document lacks the field that a newer file asks for. The engine rejects it.
        try await write("translate to {metadata.language}: {document}")
        let claim = try #require(try await queue.worker().claim(fields: ["language"]))
        #expect(claim.documents.map(\.fields) == [[:]])
    }

    @Test func namesComeCheckedFromAnyCaller() async throws {
        let error = await #expect(throws: DatabaseError.self) {
            try await queue.sql.query(
                """
                SELECT l2s.sync_job_types('[{"name": "x", "encoder": "e", "mode": "llm", "llm": "e",
                    "document_bytes": 1, "maximum_attempts": 1, "backoff": 1, "maximum_backoff": 1,
                    "prompt_fields": ["good", "b\\nad"]}]')
                """)
        }
        #expect(error?.refusal?.message.contains("a field's name") == true)
    }
}
