package import Jobs
package import Postgres

/// The job store in PostgreSQL: one worker's view of schema `l2s`.
///
/// Holds three connections, so that a long completion never delays a heartbeat and a wait for work
/// delays neither: work, heartbeat, listen. The SQL that does the moves is in `migrations/`.
package struct PostgresJobStore: JobStore {
    let work: ReconnectingConnection
    let heartbeat: ReconnectingConnection
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
        work = ReconnectingConnection(settings)
        heartbeat = ReconnectingConnection(settings)
        listen = ReconnectingConnection(listening ?? settings) {
            try await $0.listen(to: "l2s_work")
            if await $0.isPooled { onPolling?() }
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
        await listen.close()
    }
}
