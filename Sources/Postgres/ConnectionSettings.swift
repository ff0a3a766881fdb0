internal import CLibpq

/// Where a database is, and how long a connection to it waits.
///
/// The text is in libpq's own syntax: `postgresql://user@host:port/database?key=value` or
/// `key=value` pairs. What it leaves out comes from libpq's environment variables and password
/// file.
package struct ConnectionSettings: Sendable {
    /// Shown in `pg_stat_activity`.
    package var applicationName: String
    /// How long to wait for each host of the text. libpq waits at least 2 s.
    package var connectTimeout = Duration.seconds(5)
    /// After this time the server cancels a statement. Behind a pooler, which lends a session for
    /// one transaction, the server does not, and the client only stops waiting. Zero for no limit.
    package var statementTimeout = Duration.seconds(30)
    /// How long to wait for an answer: the statement's own time and the way there and back. Nil for
    /// no limit.
    var answerTimeout: Duration? {
        statementTimeout > .zero ? statementTimeout + connectTimeout : nil
    }
    /// The placeholder by which statements name a schema; nil if they use none.
    package var schema: SchemaPlaceholder?

    private var given: [String: String]

    package init(_ text: String, applicationName: String) throws(DatabaseError) {
        self.applicationName = applicationName
        guard let options = PQconninfoParse(text, nil) else {
            throw .badConnectionString(reason: Self.whatIsWrong(with: text))
        }
        defer { PQconninfoFree(options) }
        given = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val {
                given[String(cString: keyword)] = String(cString: value)
            }
            option += 1
        }
    }

    /// The settings for another database of the same server.
    package func database(_ name: String) -> ConnectionSettings {
        var copy = self
        copy.given["dbname"] = name
        return copy
    }

    /// Host, port, database and user; never a password.
    package var place: String {
        let parts = ["host", "hostaddr", "port", "dbname", "user", "service"].compactMap { key in
            given[key].map { "\(key) \($0)" }
        }
        return parts.isEmpty ? "libpq's default host" : parts.joined(separator: ", ")
    }

    /// The parameters for PQconnectdbParams. With them a dead peer is noticed within about half a
    /// minute.
    var keywords: [String: String] {
        let defaults = [
            "fallback_application_name": applicationName,
            "connect_timeout": String(max(connectTimeout.components.seconds, 2)),
            "keepalives_idle": "10",
            "keepalives_interval": "5",
            "keepalives_count": "3",
            "tcp_user_timeout": "20000",
        ]
        return defaults.merging(given) { _, given in given }
            .merging(["client_encoding": "UTF8"]) { _, ours in ours }
    }

    /// What a session sets for itself, unless a pooler lends it to others. Servers, databases and
    /// roles may have other defaults than those for which this program's statements are written.
    var sessionSettings: [(name: String, value: String)] {
        [
            // These come first, because they say how the next ones are read.
            ("standard_conforming_strings", "on"), ("array_nulls", "on"),
            ("transform_null_equals", "off"),
            ("statement_timeout", String(Int64(statementTimeout / Duration.milliseconds(1)))),
            ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0"),
            ("default_transaction_isolation", "read committed"),
            ("DateStyle", "ISO, YMD"), ("IntervalStyle", "postgres"),
            ("extra_float_digits", "1"), ("bytea_output", "hex"),
        ]
    }

    /// Replaces passwords in a message. libpq names host and user and never the password; this
    /// makes sure of it.
    func redact(_ message: String) -> String {
        ["password", "sslpassword"].compactMap { given[$0] }.filter { !$0.isEmpty }
            .reduce(message) {
                $0.split(separator: $1, omittingEmptySubsequences: false).joined(separator: "***")
            }
    }
}
