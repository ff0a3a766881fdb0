/// The description of a field of a YAML file, or of a setting of the programs, for people. Texts are
/// read by the same description, so what is documented is what is accepted.
package struct FieldDescription: Sendable {
    /// Such as `limits.new_tokens`.
    package let name: String
    /// Completes "expected <name> to be …".
    package let expected: String
    /// Nil for a field without a default, or with a default that is computed.
    package let defaultText: String?
    package let meaning: String
}

/// A field, and how its text is read.
package struct Field<Value: Sendable>: Sendable {
    package let about: FieldDescription
    let quantity: Quantity<Value>
    /// Nil for a field that must be given, and for one that has no value unless it is given.
    package let defaultValue: Value?

    /// `text` of the default is read by the same rules as a user's, so it cannot be out of range.
    init(
        _ name: String, _ quantity: Quantity<Value>, default text: String? = nil,
        _ meaning: String
    ) {
        self.quantity = quantity
        defaultValue = text.flatMap(quantity.read)
        about = FieldDescription(
            name: name, expected: quantity.expected, defaultText: text, meaning: meaning)
    }

    /// The default.
    ///
    /// - Precondition: the field has one.
    package var standard: Value {
        guard let defaultValue else { preconditionFailure("\(about.name) has no default") }
        return defaultValue
    }

    /// Whether the field takes this text.
    package func accepts(_ text: String) -> Bool { quantity.read(text) != nil }
}

/// A field of any value.
private protocol Described { var about: FieldDescription { get } }
extension Field: Described {}

extension [FieldDescription] {
    /// Describes all fields that a value holds, in the order in which it declares them.
    init(of fields: some Sendable) {
        self = Mirror(reflecting: fields).children.compactMap {
            ($0.value as? any Described)?.about
        }
    }

    /// For a terminal: a line per field.
    package var reference: String {
        let width = map(\.name.count).max() ?? 0
        return map { field in
            let name = field.name + String(repeating: " ", count: width - field.name.count)
            let standard = field.defaultText.map { " Default: \($0)." } ?? ""
            return "\(name)  \(field.meaning) Takes \(field.expected).\(standard)"
        }.joined(separator: "\n")
    }

    /// The same as a table in Markdown.
    package var markdown: String {
        let rows = map { field in
            let standard = field.defaultText.map { "`\($0)`" } ?? ""
            return "| `\(field.name)` | \(standard) | \(field.expected) | \(field.meaning) |"
        }
        return (["| field | default | takes | meaning |", "|---|---|---|---|"] + rows)
            .joined(separator: "\n")
    }
}
