package import Postgres

extension QueueClient {
    /// What an operator should know about the database before it causes trouble.
    ///
    /// - Parameter oldTransaction: an open transaction is reported from this age on, in seconds.
    package func health(oldTransaction: Int) async throws -> QueueHealth {
        let rows = try await connection.query(
            """
            SELECT
                extract(epoch FROM clock_timestamp()) AS time,
                -- Not pg_stat_activity, which shows the sessions of other users only to few roles.
                (SELECT sum(d.numbackends) FROM pg_stat_database d) AS connections,
                current_setting('max_connections')::integer
                    - current_setting('superuser_reserved_connections')::integer AS connection_limit,
                EXISTS (SELECT FROM l2s.document) AS has_documents,
                (SELECT extract(epoch FROM clock_timestamp() - c.at) FROM l2s.chore c
                 WHERE c.name = 'maintain' AND c.at > '-infinity') AS maintained_s,
                (SELECT s.paused FROM l2s.setting s) AS is_paused, l2s.is_at_home() AS is_at_home,
                pg_notification_queue_usage() AS notifications,
                (SELECT string_agg(r.name, ', ')
                 FROM unnest('{l2s_producer,l2s_reader,l2s_worker,l2s_admin}'::text[]) AS r(name)
                 WHERE to_regrole(r.name) IS NULL) AS missing_roles
            """)
        let old = try await connection.query(
            """
            SELECT
                a.pid, coalesce(a.usename, '') AS user, coalesce(a.application_name, '') AS program,
                coalesce(a.state, '') AS state,
                extract(epoch FROM clock_timestamp() - a.xact_start) AS seconds
            FROM pg_stat_activity a
            WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
              AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
              AND a.xact_start <= clock_timestamp() - make_interval(secs => $1)
            ORDER BY a.xact_start LIMIT 1
            """, [.int(oldTransaction)])
        return try QueueHealth(rows[0], oldest: old.first.map(QueueHealth.Transaction.init))
    }

    /// Whether a notification that is sent on this connection arrives on another one. It does if
    /// both lead to the same database and no pooler stands before the other.
    package func reaches(_ listener: DatabaseConnection) async throws -> Bool {
        try await listener.listen(to: "l2s_doctor")
        try await connection.query("SELECT pg_notify('l2s_doctor', '')")
        return try await listener.waitForNotification(timeout: .seconds(5))
    }
}

package struct QueueHealth: Sendable {
    /// The database's clock, in seconds since 1970.
    package let time: Double
    /// Connections of the whole server.
    package let connections: Int
    /// The most connections of the server, without those that are reserved for superusers.
    package let connectionLimit: Int
    package let hasDocuments: Bool
    /// Seconds since the tables were maintained; nil if they never were.
    package let maintained: Double?
    package let isPaused: Bool
    /// False if the database was restored or promoted and `adoptCluster` was not called yet.
    package let isAtHome: Bool
    /// How full the server's queue of notifications is, from 0 to 1.
    package let notifications: Double
    /// The names of the roles that do not exist; nil if all exist.
    package let missingRoles: String?
    /// The oldest open transaction; nil if none is old.
    package let oldest: Transaction?

    /// An open transaction. It keeps vacuum from removing rows that were deleted since it began.
    package struct Transaction: Sendable {
        package let processID: Int
        package let user: String
        package let program: String
        package let state: String
        package let seconds: Double

        fileprivate init(_ row: Row) throws {
            processID = try row.value("pid")
            user = try row.value("user")
            program = try row.value("program")
            state = try row.value("state")
            seconds = try row.value("seconds")
        }
    }

    fileprivate init(_ row: Row, oldest: Transaction?) throws {
        time = try row.value("time")
        connections = try row.value("connections")
        connectionLimit = try row.value("connection_limit")
        hasDocuments = try row.value("has_documents")
        maintained = try row.optional("maintained_s")
        isPaused = try row.value("is_paused")
        isAtHome = try row.value("is_at_home")
        notifications = try row.value("notifications")
        missingRoles = try row.optional("missing_roles")
        self.oldest = oldest
    }
}
