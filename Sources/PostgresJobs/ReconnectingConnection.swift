import Jobs
import Postgres

/// One connection of a store: connects when first used and again after it broke. After a failure
/// the next call waits first, ever longer.
actor ReconnectingConnection {
    private let connection: DatabaseConnection
    /// Run on each new connection before anything else.
    private let prepare: @Sendable (DatabaseConnection) async throws -> Void
    private var isPrepared = false
    private var failures = 0
    private var notBefore = ContinuousClock.now

    init(
        _ settings: ConnectionSettings,
        prepare: @escaping @Sendable (DatabaseConnection) async throws -> Void = { _ in }
    ) {
        connection = DatabaseConnection(settings)
        self.prepare = prepare
    }

    func run<Result: Sendable>(
        _ body: @Sendable (DatabaseConnection) async throws -> Result
    ) async throws -> Result {
        do {
            if notBefore > .now { try await Task.sleep(until: notBefore) }
            if await !connection.isConnected { isPrepared = false }
            let wasInUse = isPrepared
            let result: Result
            do {
                result = try await attempt(body)
            } catch let error as DatabaseError where wasInUse && error.endsSession {
                // Servers and proxies end sessions that idle, and a failover leaves sessions at a
                // server that only reads: on a new one the call may well succeed. Calls are safe to
                // repeat.
                result = try await attempt(body)
            }
            failures = 0
            return result
        } catch let error as DatabaseError {
            guard error.isTransient else {
                throw JobStoreError.broken(reason: error.description)
            }
            failures += 1
            notBefore = .now + Self.pause(after: failures)
            throw JobStoreError.unavailable(reason: error.description)
        }
    }

    private func attempt<Result: Sendable>(
        _ body: @Sendable (DatabaseConnection) async throws -> Result
    ) async throws -> Result {
        do {
            if !isPrepared {
                try await connection.connect()
                try await prepare(connection)
                isPrepared = true
            }
            return try await body(connection)
        } catch let error as DatabaseError where error.endsSession {
            await connection.close()
            isPrepared = false
            throw error
        }
    }

    nonisolated func interrupt() {
        connection.interrupt()
    }

    func close() async {
        await connection.close()
    }

    /// 0.1 s, doubled with each failure up to 3.2 s, ± half: a fleet must not come back as one.
    private static func pause(after failures: Int) -> Duration {
        .milliseconds(100 << min(failures - 1, 5)) * Double.random(in: 0.5...1.5)
    }
}
