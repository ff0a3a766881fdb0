package import Jobs
import Postgres

extension PostgresJobStore {
    /// The order of the steps keeps wake-ups from being lost. First the worker is marked as idle,
    /// so that producers notify it. Then, in another transaction, it looks for work once more, and
    /// only then it waits. `l2s.claim` removes the mark. One gap stays: a producer whose statement
    /// began before the mark, and which commits after the look, does not notify. The next poll
    /// finds its documents, so `timeout` bounds the delay: keep it short.
    package func waitForWork(
        _ worker: WorkerID, jobTypes: [String], timeout: Duration
    ) async throws -> Bool {
        try await listen.run { connection in
            // Behind a pooler a worker only polls. Marked as idle, it would make producers send
            // notifications that nobody hears.
            if await !connection.isPooled {
                try await connection.query("SELECT l2s.fall_idle($1)", [.int(worker.value)])
            }
            if try await Self.hasWork(worker, jobTypes, connection) { return true }
            return try await connection.waitForNotification(timeout: timeout)
        }
    }

    package func hasWork(_ worker: WorkerID, jobTypes: [String]) async throws -> Bool {
        try await chores.run { try await Self.hasWork(worker, jobTypes, $0) }
    }

    private static func hasWork(
        _ worker: WorkerID, _ jobTypes: [String], _ connection: DatabaseConnection
    ) async throws -> Bool {
        try await connection.query(
            "SELECT l2s.has_work($1, $2)", [.int(worker.value), .texts(jobTypes)]
        ).single()
    }

    package func interruptWait() {
        listen.interrupt()
    }

    package func unfinished(_ jobTypes: [String]) async throws -> Unfinished {
        try await work.run {
            let rows = try await $0.query(
                """
                SELECT
                    count(*) FILTER (WHERE NOT is_scheduled AND NOT is_held) AS due,
                    count(*) FILTER (WHERE is_scheduled) AS scheduled,
                    count(*) FILTER (WHERE is_held AND NOT is_scheduled) AS paused
                FROM (
                    -- A delayed document with errors is not scheduled: it waits to be tried again.
                    SELECT
                        q.state = 2 AND q.errors = 0 AND q.run_at > now() AS is_scheduled,
                        q.state <> 1 AND (t.paused OR (SELECT s.paused FROM l2s.setting s)) AS is_held
                    FROM l2s.queue q JOIN l2s.job_type t ON t.id = q.job_type
                    WHERE t.name = ANY ($1)) AS unfinished
                """, [.texts(jobTypes)])
            guard let row = rows.first else { return Unfinished(due: 0) }
            return Unfinished(
                due: try row.value("due"), scheduled: try row.value("scheduled"),
                paused: try row.value("paused"))
        }
    }
}
