/// Where the database is, as libpq takes it: `postgresql://user:password@host/name`, or
/// `host=… dbname=…`.
///
/// Every way of printing it leaves the password out; only `connectionString` holds it.
package struct DatabaseURL: Sendable, Equatable {
    package let connectionString: String

    static let expected =
        "a PostgreSQL address such as postgresql://user@host/database or host=… dbname=…"

    /// Nil for a text that is neither of the two forms.
    package init?(_ text: String) {
        let isURL = Self.schemes.contains { text.hasPrefix($0) }
        guard !text.contains("\0"), isURL || Self.keywords(text) != nil else { return nil }
        connectionString = text
    }

    /// The value of `--database-url` or `L2S_DATABASE_URL`, or of another setting.
    package init(
        _ raw: RawSettings, name: SettingName = .databaseURL
    ) throws(Refusals) {
        let (text, origin) = raw.text(of: name) ?? ("", "\(name.flag) or \(name.variable)")
        guard let url = Self(text) else {
            let found = text.isEmpty ? "nothing" : Refusal.quoted(Self.redacted(text))
            throw Refusals([Refusal(field: origin, expected: Self.expected, found: found)])
        }
        self = url
    }

    /// Nil for a setting that was not given.
    package static func ifGiven(
        _ raw: RawSettings, name: SettingName
    ) throws(Refusals) -> DatabaseURL? {
        guard raw.text(of: name) != nil else { return nil }
        return try DatabaseURL(raw, name: name)
    }
}

extension DatabaseURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { Self.redacted(connectionString) }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["address": description]) }

    private static let schemes = ["postgresql://", "postgres://"]

    /// Keys whose values may be shown. All other values of a connection string count as secrets.
    private static let harmless: Set<String> = [
        "host", "hostaddr", "port", "dbname", "user", "sslmode", "application_name",
        "connect_timeout", "target_session_attrs",
    ]

    /// `text` without what may be a password, also when `text` is not a connection string at all.
    static func redacted(_ text: String) -> String {
        if let scheme = text.firstRange(of: "://") {
            return text[..<scheme.upperBound] + redacted(address: text[scheme.upperBound...])
        }
        guard let keywords = keywords(text) else { return "a text that is not shown" }
        return keywords.map { key, value in
            "\(key)=\(harmless.contains(key) ? value : "***")"
        }.joined(separator: " ")
    }

    /// A password may hold any of `:/?#` unescaped, so it is taken to end at the last `@`.
    private static func redacted(address: Substring) -> String {
        var shown = ""
        var rest = address
        if let at = address.lastIndex(of: "@") {
            let credentials = address[..<at]
            let user = credentials.prefix { $0 != ":" }
            shown = user.endIndex == credentials.endIndex ? "\(user)@" : "\(user):***@"
            rest = address[address.index(after: at)...]
        }
        guard let mark = rest.firstIndex(of: "?") else { return shown + rest }
        let query = rest[rest.index(after: mark)...].split(separator: "&").map { parameter in
            let key = String(parameter.prefix { $0 != "=" })
            return harmless.contains(key) ? String(parameter) : "\(key)=***"
        }
        return shown + rest[...mark] + query.joined(separator: "&")
    }

    /// `host=… password='it''s'` as pairs, values as written. Nil when it is not of that form.
    private static func keywords(_ text: String) -> [(key: String, value: String)]? {
        var pairs: [(key: String, value: String)] = []
        var rest = text.drop(while: \.isWhitespace)
        while !rest.isEmpty {
            let key = rest.prefix { $0 != "=" && !$0.isWhitespace }
            rest = rest[key.endIndex...].drop(while: \.isWhitespace)
            guard !key.isEmpty, rest.first == "=" else { return nil }
            rest = rest.dropFirst().drop(while: \.isWhitespace)
            let start = rest.startIndex
            let isQuoted = rest.first == "'"
            if isQuoted { rest = rest.dropFirst() }
            while let next = rest.first, isQuoted ? next != "'" : !next.isWhitespace {
                rest = rest.dropFirst(next == "\\" ? 2 : 1)
            }
            if isQuoted {
                guard rest.first == "'" else { return nil }
                rest = rest.dropFirst()
            }
            pairs.append((String(key), String(text[start..<rest.startIndex])))
            rest = rest.drop(while: \.isWhitespace)
        }
        return pairs.isEmpty ? nil : pairs
    }
}
