package import Jobs
import Postgres

extension PostgresJobStore {
    /// The order keeps wake-ups from being lost: first tell the producers that somebody waits, then,
    /// in another transaction, look once more, then wait. `l2s.claim` takes the mark away. One gap
    /// stays: a producer whose statement began before the mark and commits after the look does not
    /// notify. The next poll finds its documents, so `timeout` bounds the delay: keep it short.
    package func waitForWork(
        _ worker: WorkerID, jobTypes: [String], timeout: Duration
    ) async throws -> Bool {
        try await listen.run { connection in
            // Who only polls would make producers notify nobody.
            if await !connection.isPooled {
                try await connection.query("SELECT l2s.fall_idle($1)", [.int(worker.value)])
            }
            let hasWork: Bool = try await connection.query(
                "SELECT l2s.has_work($1, $2)", [.int(worker.value), .texts(jobTypes)]
            ).single()
            if hasWork { return true }
            return try await connection.waitForNotification(timeout: timeout)
        }
    }

    package func interruptWait() {
        listen.interrupt()
    }

    package func unfinished(_ jobTypes: [String]) async throws -> Int {
        try await work.run {
            try await $0.query(
                """
                SELECT count(*) FROM l2s.queue q JOIN l2s.job_type t ON t.id = q.job_type
                WHERE t.name = ANY ($1)
                """, [.texts(jobTypes)]
            ).single()
        }
    }
}
