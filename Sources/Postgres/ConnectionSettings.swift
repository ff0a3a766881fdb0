internal import CLibpq

/// Where a database is and how patient a connection to it is.
///
/// Takes libpq's own syntax: `postgresql://user@host:port/database?key=value` or `key=value` pairs.
/// What the text leaves open comes from libpq's environment variables and password file.
package struct ConnectionSettings: Sendable {
    /// Shown in `pg_stat_activity`.
    package var applicationName: String
    /// For each host of the text; libpq waits at least 2 s.
    package var connectTimeout = Duration.seconds(5)
    /// A longer statement is cancelled by the server; behind a pooler, which lends a session for one
    /// transaction, only its answer is no longer waited for. Zero: any time will do.
    package var statementTimeout = Duration.seconds(30)
    /// How long a statement's answer is waited for: the way there and back beside its own time.
    var answerTimeout: Duration? {
        statementTimeout > .zero ? statementTimeout + connectTimeout : nil
    }
    /// Set: statements name a schema by a placeholder.
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

    /// The same server, another database.
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

    /// What to hand to PQconnectdbParams. A dead peer is noticed within about half a minute.
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

    /// What a session sets for itself where no pooler lends it to others: servers, databases and roles
    /// have other defaults than this program's statements are written for.
    var sessionSettings: [(name: String, value: String)] {
        [
            // First: the next ones are read by these.
            ("standard_conforming_strings", "on"), ("array_nulls", "on"),
            ("transform_null_equals", "off"),
            ("statement_timeout", String(Int64(statementTimeout / Duration.milliseconds(1)))),
            ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0"),
            ("default_transaction_isolation", "read committed"),
            ("DateStyle", "ISO, YMD"), ("IntervalStyle", "postgres"),
            ("extra_float_digits", "1"), ("bytea_output", "hex"),
        ]
    }

    /// libpq's messages name host and user, never the password; this makes sure of it.
    func redact(_ message: String) -> String {
        ["password", "sslpassword"].compactMap { given[$0] }.filter { !$0.isEmpty }
            .reduce(message) {
                $0.split(separator: $1, omittingEmptySubsequences: false).joined(separator: "***")
            }
    }
}
