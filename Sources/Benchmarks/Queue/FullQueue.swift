package import Jobs
package import Postgres
internal import PostgresJobs

/// A queue that does not run empty.
package struct FullQueue {
    private let connection: DatabaseConnection
    private let jobType: String
    private let texts: [String]

    private static let depth = 4000

    /// - Parameter texts: the texts of its documents, used again and again in this order.
    package init(_ connection: DatabaseConnection, jobType: String, texts: [String]) {
        self.connection = connection
        self.jobType = jobType
        self.texts = texts
    }

    package func prepare(_ jobTypes: [JobType]) async throws {
        _ = try await SchemaMigrator().migrate(connection)
        try await JobTypeTable.write(jobTypes, connection)
        try await fill()
    }

    /// Fills the queue up to the same depth, which is done before each measurement.
    package func fill() async throws {
        try await connection.query(
            """
            SELECT count(l2s.enqueue($1, ($2::text[])[1 + n % cardinality($2::text[])]))
            FROM generate_series(1, $3 - (SELECT count(*) FROM l2s.queue)) AS n
            """, [.text(jobType), .texts(texts), .int(Self.depth)])
    }

    package func warmUp() async throws {
        while try await finished(since: 0) < 64 { try await Task.sleep(for: .milliseconds(100)) }
    }

    /// Measures a worker from now on, for `duration`.
    ///
    /// - Parameter worker: the worker's process.
    package func turn(of worker: Int32, over duration: Duration) async throws -> WorkerTurn {
        let (start, before) = (try await time(), try await computed(worker))
        try await Task.sleep(for: duration)
        let (count, after) = (try await finished(since: start), try await computed(worker))
        let seconds = try await time() - start
        func perSecond(_ time: Duration) -> Double { time / .milliseconds(1) / seconds }
        return WorkerTurn(
            documentsPerS: Double(count) / seconds,
            workerMsPerS: perSecond(after.worker - before.worker),
            databaseMsPerS: perSecond(after.database - before.database))
    }

    /// Waits until the worker reads nothing more for pages. It finds that a page is gone when it
    /// writes to it next.
    package func waitUntilUnwatched() async throws {
        while try await connection.query(
            """
            SELECT EXISTS (
                SELECT FROM pg_stat_activity WHERE application_name = 'l2s-worker page'
                  AND state_change > clock_timestamp() - interval '5 seconds')
            """
        ).single() {
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private func computed(_ worker: Int32) async throws -> (worker: Duration, database: Duration) {
        let pages = try await connection.query(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'l2s-worker page'")
        return (
            try ProcessorTime.of(worker)
                - ProcessorTime.ofThreads(named: "l2s lane", of: worker),
            try pages.reduce(.zero) {
                try $0 + ProcessorTime.of(Int32($1.value("pid", as: Int.self)))
            }
        )
    }

    private func time() async throws -> Double {
        try await connection.query("SELECT extract(epoch FROM clock_timestamp())").single()
    }

    private func finished(since start: Double) async throws -> Int {
        try await connection.query(
            "SELECT count(*) FROM l2s.result WHERE finished_at > to_timestamp($1)",
            [.double(start)]
        ).single()
    }
}

/// A worker with a full queue during one measurement.
package struct WorkerTurn: Encodable {
    package let documentsPerS: Double
    /// Processor time of its threads without its lanes.
    package let workerMsPerS: Double
    /// Processor time of the database connection that its page reads through.
    package let databaseMsPerS: Double
}
