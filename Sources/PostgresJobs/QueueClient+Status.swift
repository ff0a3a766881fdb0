package import Jobs
import Postgres

extension QueueClient {
    /// The status of each job type, in the order of names.
    package func status() async throws -> [JobTypeStatus] {
        let rows = try await connection.query(
            """
            SELECT
                t.name, t.paused OR (SELECT s.paused FROM l2s.setting s) AS paused,
                t.paused_because,
                coalesce(q.waiting, 0) AS waiting, coalesce(q.delayed, 0) AS delayed,
                coalesce(q.running, 0) AS running,
                coalesce(r.succeeded, 0) AS succeeded, coalesce(r.failed, 0) AS failed,
                coalesce(r.cancelled, 0) AS cancelled,
                q.oldest_waiting_s
            FROM l2s.job_type t
            LEFT JOIN (
                SELECT
                    job_type,
                    count(*) FILTER (WHERE state = 0) AS waiting,
                    count(*) FILTER (WHERE state = 1) AS running,
                    count(*) FILTER (WHERE state = 2) AS delayed,
                    extract(epoch FROM clock_timestamp()
                        - min(run_at) FILTER (WHERE state = 0)) AS oldest_waiting_s
                FROM l2s.queue GROUP BY job_type) AS q ON q.job_type = t.id
            LEFT JOIN l2s.count_finished() AS r ON r.job_type = t.id
            ORDER BY t.name
            """)
        return try rows.map { row in
            JobTypeStatus(
                name: try row.value("name"), paused: try row.value("paused"),
                pausedBecause: try row.optional("paused_because"),
                waiting: try row.value("waiting"), delayed: try row.value("delayed"),
                running: try row.value("running"), succeeded: try row.value("succeeded"),
                failed: try row.value("failed"), cancelled: try row.value("cancelled"),
                oldestWaiting: try row.optional("oldest_waiting_s", as: Double.self)
                    .map { .seconds($0) })
        }
    }

    /// Workers that sent a heartbeat within the last minute and have not stopped.
    package func workers() async throws -> [WorkerStatus] {
        let rows = try await connection.query(
            """
            SELECT
                w.id, w.host, w.pid, w.version, w.idle, w.draining,
                extract(epoch FROM clock_timestamp() - w.seen_at) AS silent_s,
                (SELECT count(*) FROM l2s.lease l WHERE l.worker_id = w.id) AS leases
            FROM l2s.worker w
            WHERE w.stopped_at IS NULL AND w.seen_at > clock_timestamp() - interval '1 minute'
            ORDER BY w.id
            """)
        return try rows.map { row in
            WorkerStatus(
                id: WorkerID(try row.value("id")),
                name:
                    "\(try row.value("host", as: String.self)):\(try row.value("pid", as: Int.self))",
                version: try row.value("version"), idle: try row.value("idle"),
                draining: try row.value("draining"), leases: try row.value("leases"),
                silentFor: .seconds(try row.value("silent_s", as: Double.self)))
        }
    }
}

package struct JobTypeStatus: Sendable, Equatable {
    package let name: String
    package let paused: Bool
    /// The reason if the job type was paused automatically, else nil.
    package let pausedBecause: String?
    package let waiting: Int
    package let delayed: Int
    package let running: Int
    package let succeeded: Int
    package let failed: Int
    package let cancelled: Int
    /// How long the document that waits longest has been ready; nil if none waits.
    package let oldestWaiting: Duration?
}

package struct WorkerStatus: Sendable, Equatable {
    package let id: WorkerID
    /// host:pid
    package let name: String
    package let version: String
    package let idle: Bool
    package let draining: Bool
    package let leases: Int
    package let silentFor: Duration
}
