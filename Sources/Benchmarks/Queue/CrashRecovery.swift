internal import Jobs
internal import Postgres
internal import PostgresJobs

/// How long it takes until another worker has the documents of a worker that died.
package struct CrashRecovery: Sendable, Encodable {
    package let leaseSeconds: Double
    /// From the dead worker's last sign of life to the claim by another.
    package let seconds: Percentiles

    package init(_ server: BenchServer, leaseDuration: Duration, crashes: Int) async throws {
        let database = try await server.database("crash")
        var seconds: [Double] = []
        for crash in 1...crashes {
            try await database.fill(waiting: 1)
            // This worker dies: it claims and does nothing more.
            let timer = try await BatchTimer(database, batch: 1, leaseDuration: leaseDuration)
            guard let claim = try await timer.claim() else { break }
            try await BenchWorkers(count: 1, batch: 256).during(database) {
                try await eventually { try await database.count("l2s.result") == crash }
            }
            seconds.append(
                try await database.sql.query(
                    """
                    SELECT extract(epoch FROM r.claimed_at - b.claimed_at)::double precision
                    FROM l2s.result r, l2s.batch b WHERE r.document_id = $1 AND b.lease_id = $2
                    """, [.int(claim.documents[0].id), .int(claim.lease.value)]
                ).single())
        }
        leaseSeconds = leaseDuration / .seconds(1)
        self.seconds = Percentiles(seconds)
        await database.sql.close()
        try await server.drop("crash")
    }
}
