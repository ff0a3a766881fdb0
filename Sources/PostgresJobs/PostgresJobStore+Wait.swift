package import Jobs
import Postgres

extension PostgresJobStore {
    /// The order makes sure that no wake-up is lost: first tell the producers that somebody waits,
    /// then, in another transaction, look once more, then wait. `l2s.claim` takes the mark away.
    package func waitForWork(
        _ worker: WorkerID, jobTypes: [String], timeout: Duration
    ) async throws -> Bool {
        try await listen.run { connection in
            try await connection.query(
                "UPDATE l2s.worker SET idle = true WHERE id = $1 AND NOT idle",
                [.int(worker.value)])
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
