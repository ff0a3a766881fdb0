import Jobs
import Postgres

/// One connection of a store. It connects when it is first used, and again after it broke. After a
/// failure the next call waits before it tries, longer after each further failure.
actor ReconnectingConnection {
    private let connection: DatabaseConnection
    /// Called on each new connection before anything else.
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
                // Servers and proxies end idle sessions, and a failover leaves sessions on a server
                // that has become read-only. On a new session the call may well succeed, and calls
                // are safe to repeat.
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

    /// 0.1 s after the first failure, doubled with each further one up to 3.2 s. Chance makes it up
    /// to half longer or shorter, so that the workers of a fleet do not come back all at once.
    private static func pause(after failures: Int) -> Duration {
        .milliseconds(100 << min(failures - 1, 5)) * Double.random(in: 0.5...1.5)
    }
}
