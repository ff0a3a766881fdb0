internal import Jobs
internal import Postgres
internal import PostgresJobs

/// How long it takes to read results, with those of twelve weeks in weekly partitions.
package struct ResultReads: Sendable, Encodable {
    package struct Reading: Sendable, Encodable {
        package let question: String
        /// Milliseconds of the first time.
        package let first: Double
        /// The median milliseconds of the five times after the first.
        package let median: Double
        /// Rows that PostgreSQL read from the tables of the queue to answer it.
        package let rows: Int
    }

    package let results: Int
    package let waiting: Int
    package private(set) var readings: [Reading] = []

    private static let weeks = 12

    package init(_ server: BenchServer, results: Int, waiting: Int) async throws {
        let database = try await server.database("results")
        let weekly = max(1, results / Self.weeks)
        self.results = weekly * Self.weeks
        self.waiting = waiting
        let middle = try await database.fill(weeks: Self.weeks, weekly: weekly)
        try await database.fill(waiting: waiting)
        try await database.settle()
        try await ask(database, middle: middle)
        await database.sql.close()
        try await server.drop("results")
    }

    private mutating func ask(_ database: BenchDatabase, middle: String) async throws {
        let sql = database.sql
        let client = QueueClient(sql)
        let watch = QueueWatch(sql)
        let newest: String = try await sql.query(
            """
            SELECT r.written_in || '-' || r.document_id FROM l2s.result r
            ORDER BY r.written_in DESC, r.document_id DESC OFFSET 500 LIMIT 1
            """
        ).single()
        func select(_ question: String, _ statement: String) async throws {
            try await ask(question, sql) { try await sql.query(statement) }
        }
        try await ask("l2s status", sql) { _ = try await client.status() }
        try await ask("the page, when it is opened", sql) { _ = try await QueueWatch(sql).look() }
        try await ask("the page, every two seconds", sql) { _ = try await watch.look() }
        try await select(
            "l2s.throughput of a week",
            "SELECT * FROM l2s.throughput WHERE minute > now() - interval '7 days'")
        try await select(
            "l2s.throughput of an hour",
            "SELECT * FROM l2s.throughput WHERE minute > now() - interval '1 hour'")
        for (place, key) in [
            ("from the first", nil), ("from the middle", middle), ("at the end", newest),
        ] {
            try await ask("1,000 of l2s.completed, \(place)", sql) {
                _ = try await client.completed(after: key, group: nil)
            }
        }
        try await ask("1,000 of l2s.completed, of a group", sql) {
            _ = try await client.completed(after: nil, group: "week-6")
        }
        try await select("l2s.groups, one", "SELECT * FROM l2s.groups WHERE name = 'week-6'")
        try await select(
            "l2s.jobs, the last 50", "SELECT * FROM l2s.jobs ORDER BY id DESC LIMIT 50")
        try await select(
            "l2s.jobs, the last 50 that failed",
            "SELECT * FROM l2s.jobs WHERE state = 'failed' ORDER BY id DESC LIMIT 50")
        let start: Int = try await sql.query(
            "SELECT first_id FROM l2s.part WHERE number = 6"
        ).single()
        try await select(
            "l2s.jobs, 1,000 by id",
            "SELECT * FROM l2s.jobs WHERE id BETWEEN \(start + 1) AND \(start + 1000)")
        try await select(
            "l2s.jobs, an hour by finished_at",
            """
            SELECT * FROM l2s.jobs WHERE finished_at >= now() - interval '1 day'
                AND finished_at < now() - interval '23 hours'
            """)
    }

    private mutating func ask(
        _ question: String, _ sql: DatabaseConnection, _ body: () async throws -> Void
    ) async throws {
        var times: [Double] = []
        var rows = 0
        for _ in 0...5 {
            try await sql.query("BEGIN")
            let before = try await Self.rowsRead(sql)
            times.append(try await ContinuousClock().measure(body) / .milliseconds(1))
            rows = try await Self.rowsRead(sql) - before
            try await sql.query("COMMIT")
        }
        readings.append(
            Reading(
                question: question, first: times[0], median: Array(times.dropFirst()).median,
                rows: rows))
    }

    /// The rows that the open transaction has read.
    private static func rowsRead(_ sql: DatabaseConnection) async throws -> Int {
        try await sql.query(
            """
            SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint
            FROM pg_stat_xact_user_tables WHERE schemaname = 'l2s'
            """
        ).single()
    }
}

extension BenchDatabase {
    /// Adds the documents of weeks that end now, with a partition for each week. Results lie in
    /// batches of 64, each with a transaction's id of its own. A quarter of a week's documents are
    /// in a group; of 500, one failed and one was cancelled.
    ///
    /// - Returns: a key of `l2s.completed` in the middle.
    func fill(weeks: Int, weekly: Int) async throws -> String {
        try await addPartitions(weeks, ids: 100_000_000)
        let batches = weeks * (weekly / 64 + 1)
        // A subtransaction that writes takes an id of its own.
        try await sql.script(
            """
            DO $$
            BEGIN
                CREATE TEMP TABLE used (number integer);
                FOR number IN 0..\(batches) LOOP
                    BEGIN
                        INSERT INTO used VALUES (number);
                    EXCEPTION WHEN division_by_zero THEN NULL;
                    END;
                END LOOP;
            END $$;
            DROP TABLE used;
            INSERT INTO l2s.worker (host, pid, version) VALUES ('bench', 0, 'bench');
            """, name: "the transactions of the past")
        let first: Int = try await sql.query(
            "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - $1", [.int(batches + 1)]
        ).single()
        for week in 1...weeks {
            let group: Int = try await sql.query(
                """
                INSERT INTO l2s.group_run (name, producer, opened_at, finished_at)
                SELECT 'week-' || $1::integer, 'bench', ends - interval '7 days', ends
                FROM (SELECT now() - interval '7 days' * ($2::integer - $1)) AS week(ends)
                RETURNING id
                """, [.int(week), .int(weeks)]
            ).single()
            let parameters: [Parameter] = [
                .int(week), .int(weekly), .int(group), .int(weeks),
                .int(first + (week - 1) * (weekly / 64 + 1)),
            ]
            try await sql.query(Self.past("document"), parameters)
            try await sql.query(Self.past("result"), parameters)
        }
        while try await sql.query("SELECT l2s.count_past()").single(as: Int.self) > 0 {}
        return "\(first + batches / 2)-0"
    }

    /// - Parameter table: `document` or `result`, whose rows belong together. $1 is the week's
    ///   number, $2 its documents, $3 its group, $4 all weeks, $5 the transaction of its first
    ///   batch.
    private static func past(_ table: String) -> String {
        let rows = """
            (SELECT
                part.first_id + i AS id, t.id AS job_type, i / 64 AS batch, i % 500 AS kind,
                CASE WHEN i % 4 = 0 THEN $3::bigint END AS group_id, i % 7 AS tenant,
                now() - interval '7 days' * (
                    $4::integer - $1::integer + 1 - (i / 64 * 64)::double precision / $2)
                    - interval '1 minute' AS at
             FROM l2s.part, l2s.job_type t, generate_series(0, $2::integer - 1) AS i
             WHERE part.number = $1 AND t.name = 'echo' AND $5::bigint > 0) AS past
            """
        if table == "document" {
            return """
                INSERT INTO l2s.document (
                    id, job_type, priority, run_at, enqueued_at, body, group_id, tenant, producer)
                SELECT id, job_type, 0, at, at, repeat('Some words of a document. ', 20) || id,
                    group_id, 'tenant ' || tenant, 'bench'
                FROM \(rows)
                """
        }
        return """
            INSERT INTO l2s.result (
                document_id, job_type, group_id, written_in, lease_id, worker_id, succeeded,
                cancelled, attempt, claimed_at, finished_at, output, error, mode, model,
                tokens_in, tokens_out, batch_size, parts, truncated, queue_ms, tokenize_ms,
                batch_wait_ms, encode_ms, handoff_ms, decode_ms, writeback_ms)
            SELECT id, job_type, group_id, $5 + batch, batch, 1, kind > 1,
                kind = 1, 1, at + interval '30 s', at + interval '32 s',
                CASE WHEN kind > 1 THEN repeat('some output ', 10) || id END,
                CASE kind WHEN 0 THEN 'it failed' WHEN 1 THEN 'cancelled' END, 'llm', 'echo',
                120, 30, 64, 1, false, 30000, 1, 20, 500, 1, 1400, 78
            FROM \(rows)
            """
    }
}
