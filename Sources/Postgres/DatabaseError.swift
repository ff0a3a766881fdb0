/// Why a database did not do what it was asked for.
package enum DatabaseError: Error, Equatable {
    /// The reason names none of the values, because one may be a password.
    case badConnectionString(reason: String)
    /// No connection could be made.
    case unreachable(place: String, reason: String)
    /// The connection broke; whether the statement took effect is unknown.
    case connectionLost(statement: String, reason: String)
    case refused(Refusal)
    case badParameter(statement: String, position: Int, reason: String)
    /// A value in an answer is not of the kind that the program expects.
    case unexpectedValue(column: String, expected: String, found: String)

    /// An error in the server's own words.
    package struct Refusal: Sendable, Equatable {
        package let statement: String
        /// Five characters, see PostgreSQL's appendix A.
        package let sqlState: String
        package let message: String
        /// Not part of `description`, because it may quote the rows of a violated constraint.
        package let detail: String?
        package let hint: String?
    }

    package var refusal: Refusal? {
        if case .refused(let refusal) = self { refusal } else { nil }
    }

    /// Whether the session cannot be used any longer, even if it still answers: the server ends it,
    /// or a failover has made its server read-only.
    package var endsSession: Bool {
        switch self {
        case .connectionLost: true
        case .refused(let refusal):
            refusal.sqlState.hasPrefix("57P0") || refusal.sqlState == "25006"
        case .unreachable, .badConnectionString, .badParameter, .unexpectedValue: false
        }
    }

    /// Whether a later try may well succeed, on a new connection if this one broke.
    package var isTransient: Bool {
        switch self {
        case .unreachable, .connectionLost: true
        case .refused(let refusal):
            // Connection exceptions; disk full, out of memory, too many connections; server shut
            // down, starting or, after a failover, read-only; serialization failure, deadlock; lock
            // or statement timed out; session ended for idling; input or output failed.
            ["08", "53"].contains { refusal.sqlState.hasPrefix($0) }
                || [
                    "57P01", "57P02", "57P03", "57P05", "25006", "40001", "40P01", "55P03",
                    "57014", "58030",
                ].contains(refusal.sqlState)
        case .badConnectionString, .badParameter, .unexpectedValue: false
        }
    }
}

extension DatabaseError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .badConnectionString(let reason):
            "expected the database URL to be postgresql://user@host:port/database or "
                + "key=value pairs, got \(reason)"
        case .unreachable(let place, let reason):
            "cannot connect to PostgreSQL (\(place)): \(reason)"
        case .connectionLost(let statement, let reason):
            "lost the connection to PostgreSQL during \(statement): \(reason)"
        case .refused(let refusal):
            "PostgreSQL refused \(refusal.statement): \(refusal.message) (\(refusal.sqlState))"
                + (refusal.hint.map { ". \($0)" } ?? "")
                + (refusal.sqlState == "25006"
                    ? ". The statement reached a read-only server, after a failover or through a "
                        + "pooler that sends every SELECT to a standby: name the primary, or several "
                        + "hosts with target_session_attrs=read-write" : "")
        case .badParameter(let statement, let position, let reason):
            "cannot send parameter \(position) of \(statement): \(reason)"
        case .unexpectedValue(let column, let expected, let found):
            "expected column \(column) to be \(expected), got \(found)"
        }
    }
}
