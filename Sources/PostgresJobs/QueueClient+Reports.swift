import Postgres

extension QueueClient {
    /// These jobs as view `l2s.jobs` shows them, with their source texts, in the order of ids.
    /// Unknown ids are left out.
    package func reports(_ ids: [Int64]) async throws -> [JobReport] {
        let rows = try await connection.query(
            """
            SELECT j.*, l2s.text_of(d) AS source FROM l2s.jobs j JOIN l2s.document d ON d.id = j.id
            WHERE j.id = ANY ($1) ORDER BY j.id
            """, [.ints(ids)])
        return try rows.map(JobReport.init)
    }

    /// View `l2s.throughput`.
    package func throughput() async throws -> [ThroughputReport] {
        try await connection.query("SELECT * FROM l2s.throughput").map(ThroughputReport.init)
    }
}

/// One row of `l2s.jobs` and its source text. Times are in ms.
package struct JobReport: Sendable {
    package let id: Int64
    package let jobType: String
    package let state: String
    package let attempt: Int
    package let source: String
    package let output: String?
    package let error: String?
    package let worker: String?
    package let mode: String?
    package let model: String?
    package let tokensIn: Int?
    package let tokensOut: Int?
    package let batchSize: Int?
    package let encodeSource: String?
    /// The jobs of the same text, this one included; nil if there is no other.
    package let siblings: [Int64]?
    package let parts: Int?
    package let truncated: Bool?
    /// Parts whose output was cut off at `limits.new_tokens`.
    package let cutOff: Int?
    package let queue: Double?
    package let tokenize: Double?
    package let batchWait: Double?
    package let encode: Double?
    package let handoff: Double?
    package let decode: Double?
    package let writeback: Double?

    init(_ row: Row) throws {
        id = try row.value("id")
        jobType = try row.value("job_type")
        state = try row.value("state")
        attempt = try row.value("attempt")
        source = try row.value("source")
        output = try row.optional("output")
        error = try row.optional("error")
        worker = try row.optional("worker")
        mode = try row.optional("mode")
        model = try row.optional("model")
        tokensIn = try row.optional("tokens_in")
        tokensOut = try row.optional("tokens_out")
        batchSize = try row.optional("batch_size")
        encodeSource = try row.optional("encode_source")
        siblings = try row.optional("siblings")
        parts = try row.optional("parts")
        truncated = try row.optional("truncated")
        cutOff = try row.optional("cut_off")
        queue = try row.optional("queue_ms")
        tokenize = try row.optional("tokenize_ms")
        batchWait = try row.optional("batch_wait_ms")
        encode = try row.optional("encode_ms")
        handoff = try row.optional("handoff_ms")
        decode = try row.optional("decode_ms")
        writeback = try row.optional("writeback_ms")
    }
}

/// One row of `l2s.throughput`.
package struct ThroughputReport: Sendable {
    /// The time of its start, in PostgreSQL's text form.
    package let minute: String
    package let jobType: String
    package let documents: Int
    package let failures: Int
    package let tokensIn: Int
    package let tokensOut: Int
    package let documentsPerSecond: Double
    package let tokensPerSecond: Double
    package let queue: Percentiles
    package let encode: Percentiles
    package let decode: Percentiles
    package let total: Percentiles

    /// In ms; nil if no document of the minute reached the stage.
    package struct Percentiles: Sendable {
        package let p50: Double?
        package let p95: Double?
        package let p99: Double?

        init(_ row: Row, _ stage: String) throws {
            p50 = try row.optional("\(stage)_p50_ms")
            p95 = try row.optional("\(stage)_p95_ms")
            p99 = try row.optional("\(stage)_p99_ms")
        }
    }

    init(_ row: Row) throws {
        minute = try row.value("minute")
        jobType = try row.value("job_type")
        documents = try row.value("documents")
        failures = try row.value("failures")
        tokensIn = try row.value("tokens_in")
        tokensOut = try row.value("tokens_out")
        documentsPerSecond = try row.value("documents_per_s")
        tokensPerSecond = try row.value("tokens_per_s")
        queue = try Percentiles(row, "queue")
        encode = try Percentiles(row, "encode")
        decode = try Percentiles(row, "decode")
        total = try Percentiles(row, "total")
    }
}
