package import Jobs
import Postgres

extension PostgresJobStore {
    package func renew(
        _ worker: WorkerID, leases: [LeaseID], draining: Bool, load: WorkerLoad? = nil
    ) async throws -> HeartbeatReply {
        try await heartbeat.run { connection in
            let rows = try await connection.query(
                """
                SELECT h.lease_id, c.id AS cancelled FROM l2s.heartbeat($1, $2, $3) AS h
                LEFT JOIN LATERAL unnest(h.cancelled) AS c(id) ON true
                """,
                [.int(worker.value), .ints(leases.map(\.value)), .bool(draining)])
            if let load {
                try await connection.query(
                    "SELECT l2s.tell_load($1, $2)",
                    [.int(worker.value), .text(load.json)])
            }
            var owned: Set<LeaseID> = []
            var cancelled: [LeaseID: Set<Int64>] = [:]
            for row in rows {
                let lease = LeaseID(try row.value("lease_id"))
                owned.insert(lease)
                if let id: Int64 = try row.optional("cancelled") {
                    cancelled[lease, default: []].insert(id)
                }
            }
            return HeartbeatReply(owned: owned, cancelled: cancelled)
        }
    }

    package func release(
        _ worker: WorkerID, _ lease: LeaseID, _ ids: [Int64]
    ) async throws -> Int {
        try await work.run {
            try await $0.query(
                "SELECT l2s.release($1, $2, $3)",
                [.int(worker.value), .int(lease.value), .ints(ids)]
            ).single()
        }
    }

    package func rescueExpired() async throws -> RescueSummary {
        try await chores.run { connection in
            try await connection.query("SELECT l2s.hear()")
            let rows = try await connection.query(
                """
                SELECT
                    rescued_leases, suspects, dead,
                    nullif(array_to_string(failures, '; '), '') AS failures
                FROM l2s.rescue()
                """)
            guard let row = rows.first else {
                throw JobStoreError.broken(reason: "expected l2s.rescue to return a row, got none")
            }
            let dead: Int = try row.value("dead")
            let paused: [String] =
                dead == 0
                ? []
                : try await connection.query("SELECT l2s.pause_crashing() AS name")
                    .map { try $0.value("name") }
            return RescueSummary(
                leases: try row.value("rescued_leases"), suspects: try row.value("suspects"),
                dead: dead, paused: paused,
                failures: [try row.optional("failures")].compactMap(\.self))
        }
    }

    package func promoteDelayed() async throws -> Int {
        try await chores.run { try await $0.query("SELECT l2s.promote()").single() }
    }

    package func maintain() async throws -> MaintenanceStep {
        try await chores.run {
            try MaintenanceStep(try await $0.query("SELECT * FROM l2s.maintain()"))
        }
    }

    package func finishGroups(atOnce: Bool) async throws -> Int {
        let call = atOnce ? "SELECT l2s.settle_groups()" : "SELECT l2s.finish_groups()"
        return try await chores.run { try await $0.query(call).single() }
    }
}

extension MaintenanceStep {
    /// Reads the answer of `l2s.maintain`.
    init(_ rows: Rows) throws {
        self.init()
        for row in rows {
            if try row.value("more") { hasMore = true }
            guard let line: String = try row.optional("done") else { continue }
            if try row.value("failed") { failures.append(line) } else { done.append(line) }
        }
    }
}

extension WorkerLoad {
    /// The load as column `l2s.worker.load` holds it.
    fileprivate var json: String {
        JSONText.object([
            ("lanes", .int(lanes)), ("lanes_busy", .double(lanesBusy)),
            ("documents", .int(documents)), ("prepared", .int(prepared)),
            ("handoff", .int(handoff)), ("handoff_capacity", .int(handoffCapacity)),
            ("decoding", .int(decoding)), ("batch_fill", batchFill.map { .double($0) } ?? .null),
        ]).description
    }
}
