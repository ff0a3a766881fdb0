internal import Foundation
internal import Jobs
internal import Postgres
internal import PostgresJobs

/// One database of a `BenchServer` with documents of the job type `echo`.
package struct BenchDatabase: Sendable {
    package let url: String
    /// For everything but the work that is measured. Statements may take any time.
    let sql: DatabaseConnection

    static let jobType = JobType(
        name: "echo", mode: .llm, llm: "echo", slm: nil,
        prompt: PromptTemplate(PromptTemplate.placeholder)!,
        limits: JobType.Limits(
            documentBytes: 1_000_000, sourceTokens: 512, newTokens: 128, minimumNewTokens: 0,
            overflow: .truncate),
        batch: JobType.BatchLimits(documents: 256, paddedTokens: 131_072, wait: .zero),
        retry: JobType.RetryPolicy(
            maximumAttempts: 5, backoff: .seconds(1), maximumBackoff: .seconds(60)),
        timeout: .seconds(60))

    func connect() async throws -> DatabaseConnection {
        let connection = DatabaseConnection(
            try ConnectionSettings(url, applicationName: "l2s bench"))
        try await connection.connect()
        return connection
    }

    /// - Parameter options: of libpq, such as `-c jit=on`.
    func store(options: String = "") throws -> PostgresJobStore {
        let encoded = options.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return PostgresJobStore(
            try ConnectionSettings(
                options.isEmpty ? url : url + "&options=" + encoded, applicationName: "l2s bench"))
    }

    /// Puts `waiting` documents of one byte into the queue, behind all that are there. The first
    /// comes from `l2s.enqueue`, the others are copies of its row, so that a million take seconds.
    func fill(waiting: Int) async throws {
        let first: Int = try await sql.query("SELECT l2s.enqueue('echo', 'x')").single()
        guard waiting > 1 else { return }
        let columns: String = try await sql.query(
            """
            SELECT string_agg(
                CASE attname
                    WHEN 'document_id' THEN 'a.id'
                    -- Of a fair queue: the place in it.
                    WHEN 'turn' THEN 'q.turn + a.id - q.document_id'
                    ELSE 'q.' || quote_ident(attname) END, ', ' ORDER BY attnum)
            FROM pg_attribute
            WHERE attrelid = 'l2s.queue'::regclass AND attnum > 0 AND NOT attisdropped
            """
        ).single()
        try await sql.query(
            """
            WITH added AS (
                INSERT INTO l2s.document (job_type, priority, run_at, enqueued_at, body)
                SELECT d.job_type, d.priority, d.run_at, d.enqueued_at, d.body
                FROM l2s.document d, generate_series(2, $2) WHERE d.id = $1
                RETURNING id)
            INSERT INTO l2s.queue
            SELECT \(columns) FROM l2s.queue q, added a WHERE q.document_id = $1 ORDER BY a.id
            """, [.int(first), .int(waiting)])
    }

    /// Adds documents that are finished, with their results.
    func fill(finished: Int) async throws {
        try await sql.query(
            """
            WITH added AS (
                INSERT INTO l2s.document (job_type, priority, run_at, enqueued_at, body)
                SELECT t.id, 0, clock_timestamp(), clock_timestamp(), 'x'
                FROM l2s.job_type t, generate_series(1, $1) WHERE t.name = 'echo'
                RETURNING id, job_type)
            INSERT INTO l2s.result (
                document_id, job_type, lease_id, worker_id, succeeded, attempt, claimed_at,
                finished_at, output, mode, model, tokens_in, tokens_out, batch_size, parts,
                truncated, queue_ms, tokenize_ms, batch_wait_ms, encode_ms, handoff_ms, decode_ms,
                writeback_ms)
            SELECT id, job_type, 1, 1, true, 1, clock_timestamp(), clock_timestamp(), 'x', 'llm',
                'echo', 1, 1, 256, 1, false, 1, 1, 1, 1, 1, 1, 1
            FROM added
            """, [.int(finished)])
    }

    /// Adds partitions, as `count` days of history would.
    ///
    /// - Parameter ids: how many ids each partition is for.
    func addPartitions(_ count: Int, ids: Int = 1_000_000) async throws {
        try await sql.query(
            """
            SELECT l2s.add_part(
                last.number + n, last.after_id + (n - 1) * $2, last.after_id + n * $2)
            FROM (SELECT number, after_id FROM l2s.part ORDER BY number DESC LIMIT 1) AS last,
                generate_series(1, $1::integer) AS n
            """, [.int(count), .int(ids)])
    }

    /// Does what autovacuum and a checkpoint would do after a while.
    func settle() async throws {
        try await sql.query("VACUUM ANALYZE")
        try await sql.query("CHECKPOINT")
    }

    /// The time of all statements since the last reset of pg_stat_statements.
    func microsecondsOfStatements() async throws -> Double {
        try await sql.query(
            """
            SELECT sum(s.total_exec_time) * 1000 FROM pg_stat_statements s
            JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()
            """
        ).single()
    }

    func count(_ rows: String) async throws -> Int {
        try await sql.query("SELECT count(*) FROM \(rows)").single()
    }
}
