internal import Postgres

/// How soon an idle worker claims a document that becomes ready, in milliseconds.
package struct PickUp: Sendable, Encodable {
    package let documents: Int
    /// NOTIFY wakes the worker.
    package let notified: Percentiles
    /// The worker finds the document by polling every 250 ms.
    package let polled: Percentiles

    package init(_ server: BenchServer, documents: Int) async throws {
        let database = try await server.database("pickup")
        let worker = BenchWorkers(count: 1, batch: 256)
        func times() async throws -> Percentiles {
            try await database.sql.query("TRUNCATE l2s.result")
            try await worker.during(database) {
                for number in 1...documents {
                    try await database.sql.query("SELECT l2s.enqueue('echo', 'a document')")
                    // The next document comes when the worker is idle again, and after a random
                    // time, so that documents come at any moment between two polls.
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
