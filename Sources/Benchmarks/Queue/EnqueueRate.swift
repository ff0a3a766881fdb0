internal import Postgres

/// How many documents per second producers enqueue, with an `l2s.enqueue` and a durable commit for
/// each.
package struct EnqueueRate: Sendable, Encodable {
    package let clients: Int
    /// No worker waits for work.
    package let withoutWorker: Double
    /// One worker takes documents as they come. When it has none, NOTIFY wakes it.
    package let withWorker: Double
    /// The same worker without NOTIFY: `l2s.wake` does nothing.
    package let withoutWake: Double

    package var wakeRatio: Double { withWorker / withoutWake }

    package init(
        _ server: BenchServer, clients: Int, duration: Duration, rounds: Int
    ) async throws {
        let database = try await server.database("enqueue")
        let worker = BenchWorkers(count: 1, batch: 256)
        var alone: [Double] = []
        var woken: [Double] = []
        var silent: [Double] = []
        func rate() async throws -> Double {
            try await Self.rate(database, clients: clients, duration: duration)
        }
        // In turn, so that other work of the machine affects all of them.
        for _ in 0..<rounds {
            alone.append(try await rate())
            try await worker.empty(database)
            woken.append(
                try await worker.during(database) {
                    try await Self.rate(database, clients: clients, duration: duration)
                })
            try await worker.empty(database)
            try await database.withoutWake {
                silent.append(
                    try await worker.during(database) {
                        try await Self.rate(database, clients: clients, duration: duration)
                    })
            }
            try await worker.empty(database)
        }
        self.clients = clients
        withoutWorker = alone.median
        withWorker = woken.median
        withoutWake = silent.median
        await database.sql.close()
        try await server.drop("enqueue")
    }

    private static func rate(
        _ database: BenchDatabase, clients: Int, duration: Duration
    ) async throws -> Double {
        let connections = try await withThrowingTaskGroup { group in
            for _ in 0..<clients { group.addTask { try await database.connect() } }
            return try await group.reduce(into: [DatabaseConnection]()) { $0.append($1) }
        }
        let start = ContinuousClock.now
        let count = try await withThrowingTaskGroup { group in
            for connection in connections {
                group.addTask {
                    var count = 0
                    while start.duration(to: .now) < duration {
                        try await connection.query("SELECT l2s.enqueue('echo', 'a document')")
                        count += 1
                    }
                    await connection.close()
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        return Double(count) / (start.duration(to: .now) / .seconds(1))
    }
}

extension BenchDatabase {
    /// Runs `body` while `l2s.wake` does nothing.
    func withoutWake(_ body: () async throws -> Void) async throws {
        let wake: String = try await sql.query(
            "SELECT pg_get_functiondef('l2s.wake()'::regprocedure)"
        ).single()
        try await sql.query(
            """
            CREATE OR REPLACE FUNCTION l2s.wake() RETURNS void LANGUAGE plpgsql AS
            'BEGIN END'
            """)
        try await body()
        try await sql.query(wake)
    }
}
