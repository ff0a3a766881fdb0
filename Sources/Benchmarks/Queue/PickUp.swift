internal import Postgres

/// How soon an idle worker has a document that becomes ready, in milliseconds.
package struct PickUp: Sendable, Encodable {
    package let documents: Int
    /// Told by NOTIFY.
    package let notified: Percentiles
    /// Found by polling, every 250 ms at most.
    package let polled: Percentiles

    package init(_ server: BenchServer, documents: Int) async throws {
        let database = try await server.database("pickup")
        let worker = BenchWorkers(count: 1, batch: 256)
        func times() async throws -> Percentiles {
            try await database.sql.query("TRUNCATE l2s.result")
            try await worker.during(database) {
                for number in 1...documents {
                    try await database.sql.query("SELECT l2s.enqueue('echo', 'a document')")
                    // Until the worker has finished it and fallen idle again, and a moment of
                    // chance, so that polls are met at any moment between two.
                    try await eventually { try await database.count("l2s.result") == number }
                    try await Task.sleep(for: .milliseconds(Int.random(in: 100...350)))
                }
            }
            let rows = try await database.sql.query(
                "SELECT queue_ms::double precision AS ms FROM l2s.result")
            return Percentiles(try rows.map { try $0.value("ms") })
        }
        notified = try await times()
        var polled: Percentiles?
        try await database.withoutWake { polled = try await times() }
        self.polled = polled ?? Percentiles([])
        self.documents = documents
        await database.sql.close()
        try await server.drop("pickup")
    }
}
