package import Jobs
import Postgres

extension PostgresJobStore {
    package func renew(
        _ worker: WorkerID, leases: [LeaseID], draining: Bool
    ) async throws -> HeartbeatReply {
        try await heartbeat.run { connection in
            let rows = try await connection.query(
                "SELECT l2s.renew($1, $2, $3) AS lease_id",
                [.int(worker.value), .ints(leases.map(\.value)), .bool(draining)])
            if let load = load?() {
                try await connection.query(
                    "UPDATE l2s.worker SET load = $2::jsonb WHERE id = $1",
                    [.int(worker.value), .text(load.json)])
            }
            return HeartbeatReply(
                owned: Set(try rows.map { LeaseID(try $0.value("lease_id")) }))
        }
    }

    package func release(_ lease: LeaseID, _ ids: [Int64]) async throws -> Int {
        try await work.run {
            try await $0.query("SELECT l2s.release($1, $2)", [.int(lease.value), .ints(ids)])
                .single()
        }
    }

    package func rescueExpired() async throws -> RescueSummary {
        try await work.run { connection in
            let rows = try await connection.query("SELECT * FROM l2s.rescue()")
            guard let row = rows.first else {
                throw JobStoreError.broken(reason: "expected l2s.rescue to return a row, got none")
            }
            return RescueSummary(
                leases: try row.value("rescued_leases"), suspects: try row.value("suspects"),
                dead: try row.value("dead"))
        }
    }

    package func promoteDelayed() async throws -> Int {
        try await work.run { try await $0.query("SELECT l2s.promote()").single() }
    }
}
