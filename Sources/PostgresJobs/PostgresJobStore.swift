package import Jobs
package import Postgres

/// The job store in PostgreSQL: one worker's view of schema `l2s`.
///
/// Holds four connections (work, heartbeat, chores and listen), so that a long completion, a chore
/// such as retention and a wait for work do not delay each other. The SQL functions that it calls
/// are in `migrations/`.
package struct PostgresJobStore: JobStore {
    let work: ReconnectingConnection
    let heartbeat: ReconnectingConnection
    let chores: ReconnectingConnection
    let listen: ReconnectingConnection

    /// Makes no connection yet: the first call does.
    ///
    /// - Parameters:
    ///   - listening: a direct way to the same database, if `settings` lead through a pooler.
    ///   - onPolling: called for each new connection on which no notification can arrive.
    package init(
        _ settings: ConnectionSettings, listening: ConnectionSettings? = nil,
        onPolling: (@Sendable () -> Void)? = nil
    ) {
        // Comes before the first write on a connection, because in a restored database the numbers
        // of transactions may have gone back.
        work = ReconnectingConnection(settings) { try await Self.adoptCluster($0) }
        chores = ReconnectingConnection(settings) { try await Self.adoptCluster($0) }
        heartbeat = ReconnectingConnection(settings)
        listen = ReconnectingConnection(listening ?? settings) {
            try await $0.listen(to: "l2s_work")
            if await $0.isPooled { onPolling?() }
        }
    }

    /// Begins a new epoch of results if the database was restored or promoted.
    private static func adoptCluster(_ connection: DatabaseConnection) async throws {
        do {
            try await connection.query("SELECT l2s.adopt_cluster()")
        } catch  where ["42883", "3F000"].contains(error.refusal?.sqlState) {
            // There is no schema yet. `register` reports that.
        }
    }

    package func register(
        _ worker: WorkerDescription, jobTypes: [JobType]
    ) async throws -> WorkerID {
        try await work.run { connection in
            try await SchemaMigrator().check(connection)
            try await JobTypeTable.write(jobTypes, connection)
            let rows = try await connection.query(
                "SELECT l2s.register($1, $2, $3)",
                [.text(worker.host), .int(Int(worker.processID)), .text(worker.version)])
            return WorkerID(try rows.single())
        }
    }

    package func retire(_ worker: WorkerID) async throws {
        try await work.run {
            _ = try await $0.query("SELECT l2s.retire($1)", [.int(worker.value)])
        }
    }

    /// Waits for calls in progress. Call `interruptWait` before it.
    package func close() async {
        await work.close()
        await heartbeat.close()
        await chores.close()
        await listen.close()
    }
}
