package import Jobs
import Postgres

extension QueueClient {
    /// Cancels those of the documents that are not finished. Returns how many.
    package func cancel(_ ids: [Int64]) async throws -> Int {
        try await connection.query("SELECT l2s.cancel(VARIADIC $1)", [.ints(ids)]).single()
    }

    /// Cancels the unfinished documents of a group, some thousands at a time. Returns how many.
    package func cancel(group: String) async throws -> Int {
        var total = 0
        while true {
            let count: Int = try await connection.query(
                "SELECT l2s.cancel_group($1, $2)", [.text(group), .int(5000)]
            ).single()
            total += count
            if count == 0 { return total }
        }
    }

    /// - Parameter jobType: nil for the whole queue.
    /// - Returns: false for an unknown job type.
    package func setPaused(_ paused: Bool, jobType: String?) async throws -> Bool {
        let call = paused ? "SELECT l2s.pause($1)" : "SELECT l2s.resume($1)"
        do {
            try await connection.query(call, [.text(jobType)])
            return true
        } catch  where error.refusal?.sqlState == "42704" {
            return false
        }
    }

    package func knows(jobType: String) async throws -> Bool {
        try await connection.query(
            "SELECT EXISTS (SELECT FROM l2s.job_type t WHERE t.name = $1)", [.text(jobType)]
        ).single()
    }

    /// Puts dead letters and cancelled documents into the queue again. Returns how many.
    package func retry(_ ids: [Int64]) async throws -> Int {
        try await connection.query("SELECT l2s.retry(VARIADIC $1)", [.ints(ids)]).single()
    }

    /// Retries all dead letters of a job type, of a group, or of a job type within a group, some
    /// thousands at a time. Returns how many. Documents that become dead letters meanwhile stay so.
    package func retryDeadLetters(jobType: String?, group: String?) async throws -> Int {
        let last: Double = try await connection.query(
            "SELECT extract(epoch FROM clock_timestamp())"
        ).single()
        var total = 0
        while true {
            let count: Int = try await connection.query(
                """
                SELECT l2s.retry(VARIADIC ARRAY(
                    SELECT r.document_id FROM l2s.result r JOIN l2s.job_type t ON t.id = r.job_type
                    WHERE NOT r.succeeded AND NOT r.cancelled AND ($1::text IS NULL OR t.name = $1)
                      AND ($2::text IS NULL OR r.group_id = ANY (l2s.group_ids($2)))
                      AND r.finished_at <= to_timestamp($3::double precision)
                    LIMIT 5000))
                """, [.text(jobType), .text(group), .double(last)]
            ).single()
            total += count
            if count == 0 { return total }
        }
    }

    /// Does all maintenance now, piece by piece until nothing is left to do: it creates and drops
    /// partitions, deletes what is old and counts throughput.
    package func maintain() async throws -> MaintenanceStep {
        var all = MaintenanceStep()
        repeat {
            let step = try MaintenanceStep(
                try await connection.query("SELECT * FROM l2s.maintain(true)"))
            all.done += step.done.filter { !all.done.contains($0) }
            all.failures += step.failures.filter { !all.failures.contains($0) }
            all.hasMore = step.hasMore
        } while all.hasMore
        return all
    }

    /// Begins a new epoch of results if the database was restored or promoted. Returns whether it
    /// did.
    package func adoptCluster() async throws -> Bool {
        try await connection.query("SELECT l2s.adopt_cluster()").single()
    }

    /// Creates the roles and grants them their rights, as far as this user may. Returns the SQL
    /// that somebody with more rights has to run.
    package func grantRoles() async throws -> [String] {
        try await connection.query("SELECT l2s.grant_roles() AS line")
            .map { try $0.value("line") }
    }

    /// Nil for an unknown group.
    package func group(_ name: String) async throws -> GroupStatus? {
        try await connection.query("SELECT * FROM l2s.groups WHERE name = $1", [.text(name)])
            .first.map(GroupStatus.init)
    }

    /// Returns when any group is found to be finished, or after `timeout`.
    package func waitForGroups(timeout: Duration) async throws {
        try await connection.listen(to: "l2s_groups")
        _ = try await connection.waitForNotification(timeout: timeout)
    }
}

/// A row of view `l2s.groups`.
package struct GroupStatus: Sendable, Equatable, Encodable {
    package let name: String
    package let documents: Int
    package let waiting: Int
    package let delayed: Int
    package let running: Int
    package let succeeded: Int
    package let failed: Int
    package let cancelled: Int

    package var unfinished: Int { waiting + delayed + running }

    init(_ row: Row) throws {
        name = try row.value("name")
        documents = try row.value("documents")
        waiting = try row.value("waiting")
        delayed = try row.value("delayed")
        running = try row.value("running")
        succeeded = try row.value("succeeded")
        failed = try row.value("failed")
        cancelled = try row.value("cancelled")
    }
}
