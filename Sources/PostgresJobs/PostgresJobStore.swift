package import Jobs
package import Postgres

/// The job store in PostgreSQL: one worker's view of schema `l2s`.
///
/// Holds four connections, work, heartbeat, chores and listen, so that neither a long completion, nor a
/// chore such as retention, nor a wait for work delays another. The SQL that does the moves is in
/// `migrations/`.
package struct PostgresJobStore: JobStore {
    let work: ReconnectingConnection
    let heartbeat: ReconnectingConnection
    let chores: ReconnectingConnection
    let listen: ReconnectingConnection

    /// Connects with the first call.
    ///
    /// - Parameters:
    ///   - listening: a way to the same database past the pooler that `settings` lead through.
    ///   - onPolling: told with each connection that no notification will come on.
    package init(
        _ settings: ConnectionSettings, listening: ConnectionSettings? = nil,
        onPolling: (@Sendable () -> Void)? = nil
    ) {
        // Before the first write there: the numbers of transactions may have gone back.
        work = ReconnectingConnection(settings) { try await Self.adoptCluster($0) }
        chores = ReconnectingConnection(settings) { try await Self.adoptCluster($0) }
        heartbeat = ReconnectingConnection(settings)
        listen = ReconnectingConnection(listening ?? settings) {
            try await $0.listen(to: "l2s_work")
            if await $0.isPooled { onPolling?() }
        }
    }

    /// Tells a database that was restored, or promoted, that it is somewhere else now.
    private static func adoptCluster(_ connection: DatabaseConnection) async throws {
        do {
            try await connection.query("SELECT l2s.adopt_cluster()")
        } catch  where ["42883", "3F000"].contains(error.refusal?.sqlState) {
            // There is no schema yet; whoever registers is told so.
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

    /// Waits for what is under way: call `interruptWait` before.
    package func close() async {
        await work.close()
        await heartbeat.close()
        await chores.close()
        await listen.close()
    }
}
