import Glibc

/// A connection to PostgreSQL that waits on a thread of its own.
///
/// It connects only when `connect` is called, also after it broke: nobody knows then what the old
/// session had done, and what it had set up is gone.
package actor DatabaseConnection {
    private let executor: ThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }
    package nonisolated let settings: ConnectionSettings
    private nonisolated let wakePipe = WakePipe()
    private var session: Session?

    package init(_ settings: ConnectionSettings) {
        self.settings = settings
        executor = ThreadExecutor(name: "pg " + settings.applicationName)
    }

    package var isConnected: Bool { session.map { !$0.isBroken } ?? false }

    /// Whether a pooler such as pgbouncer stands between this and the server.
    package var isPooled: Bool { session?.isPooled ?? false }

    /// Does nothing while connected. Replaces a connection that broke.
    package func connect() throws(DatabaseError) {
        guard !isConnected else { return }
        session = nil
        session = try Session(settings)
    }

    package func close() {
        session = nil
    }

    /// Runs one statement. `$1`, `$2` … in `sql` stand for the parameters.
    @discardableResult
    package func query(
        _ sql: String, _ parameters: [Parameter] = []
    ) throws(DatabaseError) -> Rows {
        try current(sql).query(sql, parameters)
    }

    /// Runs several statements without parameters. Errors call them by `name`.
    package func script(_ sql: String, name: String) throws(DatabaseError) {
        try current(name).script(sql, name: name)
    }

    /// Runs `body` in a transaction. Commits when it returns and rolls back when it throws.
    package func transaction<Result: Sendable>(
        _ body: @Sendable (isolated DatabaseConnection) throws -> Result
    ) throws -> Result {
        try query("BEGIN")
        do {
            let result = try body(self)
            try query("COMMIT")
            return result
        } catch {
            // The server has already rolled back a session that broke.
            if isConnected { try query("ROLLBACK") }
            throw error
        }
    }

    /// Does nothing behind a pooler, which lends each session to many. The caller has to poll then.
    package func listen(to channel: String) throws(DatabaseError) {
        let session = try current("LISTEN")
        guard !session.isPooled else { return }
        _ = try session.query("LISTEN \(session.quoted(identifier: channel))", [])
    }

    /// Waits for a notification on a channel that this connection listens to. Returns false if none
    /// came in time, `interrupt` was called or the task was cancelled.
    package func waitForNotification(timeout: Duration) async throws -> Bool {
        try await withTaskCancellationHandler {
            try waitHere(timeout)
        } onCancel: {
            interrupt()
        }
    }

    /// Ends the wait in progress, or else the next one.
    package nonisolated func interrupt() {
        wakePipe.signal()
    }

    private func waitHere(_ timeout: Duration) throws(DatabaseError) -> Bool {
        let session = try current("LISTEN")
        let deadline = ContinuousClock.now + timeout
        while true {
            if try session.takeNotifications() { return true }
            let left = (deadline - .now) / Duration.milliseconds(1)
            if left <= 0 || wakePipe.consume() { return false }
            var sources = [
                pollfd(fd: session.socket, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakePipe.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            // Rounded up, because a wait of under a millisecond would spin. After EINTR the loop
            // looks again.
            poll(&sources, 2, Int32(min(left, 3_600_000).rounded(.up)))
        }
    }

    private func current(_ statement: String) throws(DatabaseError) -> Session {
        guard let session else {
            throw .connectionLost(statement: statement, reason: "not connected")
        }
        return session
    }
}
