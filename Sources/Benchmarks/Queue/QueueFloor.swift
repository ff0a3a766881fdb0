internal import Postgres

/// The least that a durable queue in PostgreSQL can cost. It has three plain tables: a claim
/// deletes a batch and returns its texts, and a completion inserts the outputs. There is no lease,
/// so the batch of a worker that dies is lost, and no order but by id, no attempts, times, groups
/// or cancelling.
package struct QueueFloor: Sendable, Encodable {
    package let workers: Int
    package let batch: Int
    package let documents: Int
    package let documentsPerSecond: Double
    /// Execution time of all statements per document, by pg_stat_statements.
    package let databaseMicroseconds: Double

    package init(
        _ server: BenchServer, workers: Int, batch: Int, documents: Int
    ) async throws {
        let database = try await server.database("least", migrated: false)
        try await database.sql.script(
            """
            CREATE EXTENSION pg_stat_statements;
            CREATE TABLE document (id bigint PRIMARY KEY, body text NOT NULL);
            CREATE TABLE queue (id bigint PRIMARY KEY);
            CREATE TABLE result (id bigint PRIMARY KEY, output text NOT NULL);
            """, name: "the plain tables")
        try await database.sql.query(
            """
            WITH added AS (
                INSERT INTO document SELECT i, 'x' FROM generate_series(1, $1) AS i RETURNING id)
            INSERT INTO queue SELECT id FROM added ORDER BY id
            """, [.int(documents)])
        try await database.settle()
        try await database.sql.query("SELECT pg_stat_statements_reset()")

        let start = ContinuousClock.now
        try await withThrowingTaskGroup { group in
            for _ in 0..<workers { group.addTask { try await Self.empty(database, batch) } }
            try await group.waitForAll()
        }
        let seconds = start.duration(to: .now) / .seconds(1)

        self.workers = workers
        self.batch = batch
        self.documents = documents
        documentsPerSecond = Double(documents) / seconds
        databaseMicroseconds = try await database.microsecondsOfStatements() / Double(documents)
        await database.sql.close()
        try await server.drop("least")
    }

    private static func empty(_ database: BenchDatabase, _ batch: Int) async throws {
        let connection = try await database.connect()
        try await connection.query("SET enable_seqscan = off")
        while true {
            let rows = try await connection.query(
                """
                WITH taken AS (
                    DELETE FROM queue q WHERE q.ctid = ANY (ARRAY(
                        SELECT f.ctid FROM queue f ORDER BY f.id LIMIT $1 FOR UPDATE SKIP LOCKED))
                    RETURNING q.id)
                SELECT d.id, d.body FROM taken t JOIN document d ON d.id = t.id
                """, [.int(batch)])
            guard !rows.isEmpty else { break }
            try await connection.query(
                "INSERT INTO result SELECT * FROM unnest($1::bigint[], $2::text[])",
                [
                    .ints(try rows.map { try $0.value("id") }),
                    .texts(try rows.map { try $0.value("body") }),
                ])
        }
        await connection.close()
    }
}
