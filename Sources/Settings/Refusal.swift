/// One value from outside that cannot be used, and what was expected instead.
package struct Refusal: Sendable, Equatable, CustomStringConvertible {
    /// The file that holds the value, as the caller named it. Nil for flags and variables.
    package var file: String?
    /// Counted from 1. Nil where the file as a whole is meant.
    package var line: Int?
    /// Such as `limits.new_tokens`, `--threads` or `L2S_THREADS`.
    package var field: String
    /// Completes "expected <field> to be …".
    package var expected: String
    /// Quoted already, and free of passwords.
    package var found: String

    package init(
        file: String? = nil, line: Int? = nil, field: String, expected: String, found: String
    ) {
        self.file = file
        self.line = line
        self.field = field
        self.expected = expected
        self.found = found
    }

    package var description: String {
        var place = ""
        if let file { place = line.map { "\(file):\($0): " } ?? "\(file): " }
        return "\(place)expected \(field) to be \(expected), got \(found)"
    }
}

/// Everything that was wrong with one set of values, so that it can be put right in one go.
package struct Refusals: Error, Sendable, Equatable, CustomStringConvertible {
    package let all: [Refusal]

    package init(_ all: [Refusal]) {
        self.all = all
    }

    /// One line for each refusal.
    package var description: String {
        all.map(\.description).joined(separator: "\n")
    }
}

extension Refusal {
    /// `text` as a refusal shows it: quoted, on one line, and cut when long.
    package static func quoted(_ text: String) -> String {
        let limit = 60
        let shown = text.unicodeScalars.prefix(limit)
            .map { $0.properties.generalCategory == .control ? $0.escaped(asASCII: true) : "\($0)" }
            .joined()
        return text.unicodeScalars.count > limit ? "\"\(shown)…\"" : "\"\(shown)\""
    }
}
