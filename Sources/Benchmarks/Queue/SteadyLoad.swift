internal import Postgres

/// Sizes of the hot tables while documents come and go at a steady rate.
package struct SteadyLoad: Sendable, Encodable {
    package struct Sample: Sendable, Encodable {
        package let seconds: Double
        package let finished: Int
        package let waiting: Int
        /// Bytes with indexes.
        package let queue: Int
        package let lease: Int
        package let worker: Int
        package let deadQueueRows: Int
        package let queueMillisecondsP99: Double
    }

    package let rate: Int
    package let samples: [Sample]

    /// - Parameter tell: called with each sample as soon as it is taken.
    package init(
        _ server: BenchServer, rate: Int, duration: Duration, every interval: Duration,
        workers: Int, tell: @escaping @Sendable (Sample) -> Void
    ) async throws {
        let database = try await server.database("steady")
        let producer = try await database.connect()
        let load = BenchWorkers(count: workers, batch: 256)
        self.rate = rate
        samples = try await load.during(database) {
            var samples: [Sample] = []
            let start = ContinuousClock.now
            var asked = 0
            while start.duration(to: .now) < duration {
                // One statement enqueues all that is due by now, as a producer's would. If the
                // machine stood still, all but the documents of one second are left out.
                let due = Int(start.duration(to: .now) / .seconds(1) * Double(rate)) - asked
                if due > 0 {
                    asked += due
                    try await producer.query(
                        """
                        SELECT count(l2s.enqueue('echo', repeat('a document ', 20)))
                        FROM generate_series(1, $1)
                        """, [.int(min(due, rate))])
                }
                if start.duration(to: .now) >= interval * (samples.count + 1) {
                    let sample = try await Self.sample(
                        database, at: start.duration(to: .now) / .seconds(1))
                    samples.append(sample)
                    tell(sample)
                }
                try await Task.sleep(for: .milliseconds(50))
            }
            return samples
        }
        await producer.close()
        await database.sql.close()
        try await server.drop("steady")
    }

    private static func sample(
        _ database: BenchDatabase, at seconds: Double
    ) async throws -> Sample {
        let rows = try await database.sql.query(
            """
            SELECT
                (SELECT count(*) FROM l2s.result) AS finished,
                (SELECT count(*) FROM l2s.queue) AS waiting,
                pg_total_relation_size('l2s.queue') AS queue,
                pg_total_relation_size('l2s.lease') AS lease,
                pg_total_relation_size('l2s.worker') AS worker,
                (SELECT n_dead_tup FROM pg_stat_user_tables
                 WHERE relid = 'l2s.queue'::regclass) AS dead,
                (SELECT coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY r.queue_ms), 0)
                 FROM l2s.result r
                 WHERE r.finished_at > clock_timestamp() - interval '10 s') AS p99
            """)
        guard let row = rows.first else { throw CancellationError() }
        return Sample(
            seconds: seconds, finished: try row.value("finished"),
            waiting: try row.value("waiting"), queue: try row.value("queue"),
            lease: try row.value("lease"), worker: try row.value("worker"),
            deadQueueRows: try row.value("dead"), queueMillisecondsP99: try row.value("p99"))
    }
}
