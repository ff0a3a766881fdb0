/// JSON for PostgreSQL, written without Foundation.
struct JSONText: CustomStringConvertible {
    let description: String

    static let null = JSONText(description: "null")
    static func int(_ value: Int) -> JSONText { JSONText(description: String(value)) }
    static func double(_ value: Double) -> JSONText {
        value.isFinite ? JSONText(description: String(value)) : .null
    }

    static func seconds(_ value: Duration) -> JSONText {
        JSONText(description: String(value / .seconds(1)))
    }

    /// U+0000, which PostgreSQL cannot store, becomes U+FFFD.
    static func string(_ value: String?) -> JSONText {
        guard let value else { return .null }
        var text = "\""
        text.reserveCapacity(value.utf8.count + 2)
        for scalar in value.unicodeScalars {
            switch scalar.value {
            case 0: text += "\u{fffd}"
            case 0x22, 0x5c:
                text += "\\"
                text.unicodeScalars.append(scalar)
            case ..<0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return JSONText(description: text + "\"")
    }

    /// Members that are null are left out, because the functions that read the object take a
    /// missing member for null.
    static func object(_ members: [(String, JSONText)]) -> JSONText {
        let pairs = members.filter { $1.description != null.description }
            .map { "\"\($0)\":\($1)" }
        return JSONText(description: "{\(pairs.joined(separator: ","))}")
    }

    static func strings(_ values: [String]) -> JSONText {
        JSONText(description: array(values.map { .string($0) }))
    }

    static func array(_ elements: [JSONText]) -> String {
        "[\(elements.map(\.description).joined(separator: ","))]"
    }
}
