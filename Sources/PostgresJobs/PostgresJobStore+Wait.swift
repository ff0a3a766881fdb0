package import Jobs
import Postgres

extension PostgresJobStore {
    /// The order makes sure that no wake-up is lost: first tell the producers that somebody waits,
    /// then look once more, then wait.
    package func waitForWork(
        _ worker: WorkerID, jobTypes: [String], timeout: Duration
    ) async throws -> Bool {
        let mark = !isMarkedIdle
        let notified = try await listen.run { connection in
            if mark {
                try await connection.query(
                    "UPDATE l2s.worker SET idle = true WHERE id = $1", [.int(worker.value)])
            }
            let hasWork: Bool = try await connection.query(
                "SELECT l2s.has_work($1, $2)", [.int(worker.value), .texts(jobTypes)]
            ).single()
            if hasWork { return true }
            return try await connection.waitForNotification(timeout: timeout)
        }
        isMarkedIdle = true
        return notified
    }

    package nonisolated func interruptWait() {
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
