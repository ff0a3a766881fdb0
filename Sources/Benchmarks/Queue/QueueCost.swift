internal import Postgres

/// What the queue costs per document, from claim to result.
package struct QueueCost: Sendable, Encodable {
    package let workers: Int
    /// The most documents of a claim.
    package let batch: Int
    package let documents: Int
    /// Measured from the first claim to the last result.
    package let documentsPerSecond: Double
    /// Execution time of all statements per document, by pg_stat_statements.
    package let databaseMicroseconds: Double
    /// Write-ahead log per document, with the page images that checkpoints cause.
    package let walBytes: Double

    /// Fills a queue, and lets workers with engines that do nothing empty it.
    package init(
        _ server: BenchServer, workers: Int, batch: Int, documents: Int, partitions: Int
    ) async throws {
        let database = try await server.database("cost")
        try await database.sql.query("CREATE EXTENSION pg_stat_statements")
        try await database.addPartitions(partitions)
        try await database.fill(waiting: documents)
        try await database.settle()
        try await database.sql.query("SELECT pg_stat_statements_reset()")
        let start = try await Self.walPosition(database)

        try await BenchWorkers(count: workers, batch: batch).empty(database)

        let end = try await Self.walPosition(database)
        let seconds: Double = try await database.sql.query(
            """
            SELECT extract(epoch FROM max(finished_at) - min(claimed_at))::double precision
            FROM l2s.result
            """
        ).single()
        self.workers = workers
        self.batch = batch
        self.documents = documents
        documentsPerSecond = Double(documents) / seconds
        databaseMicroseconds = try await database.microsecondsOfStatements() / Double(documents)
        walBytes = (end - start) / Double(documents)
        await database.sql.close()
        try await server.drop("cost")
    }

    private static func walPosition(_ database: BenchDatabase) async throws -> Double {
        try await database.sql.query(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::double precision"
        ).single()
    }
}
