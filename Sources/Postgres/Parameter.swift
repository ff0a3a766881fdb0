/// A value that is sent beside a statement and never inside its text. The server infers its SQL
/// type.
package enum Parameter: Sendable {
    case null
    case int(Int64)
    case double(Double)
    case bool(Bool)
    case text(String)
    case ints([Int64])
    case texts([String?])
    /// Becomes an `interval`.
    case duration(Duration)

    package static func int(_ value: Int) -> Parameter { .int(Int64(value)) }
    package static func text(_ value: String?) -> Parameter { value.map { .text($0) } ?? .null }

    /// PostgreSQL's text form; nil is NULL.
    var literal: String? {
        switch self {
        case .null: nil
        case .int(let value): String(value)
        case .double(let value): String(value)
        case .bool(let value): value ? "t" : "f"
        case .text(let value): value
        case .ints(let values): "{\(values.map(String.init).joined(separator: ","))}"
        case .texts(let values): "{\(values.map(Self.arrayElement).joined(separator: ","))}"
        case .duration(let value):
            "\(value.components.seconds) seconds "
                + "\(value.components.attoseconds / 1_000_000_000_000) microseconds"
        }
    }

    private static func arrayElement(_ text: String?) -> String {
        guard let text else { return "NULL" }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "\""
    }
}
