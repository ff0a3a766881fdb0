/// A schema that statements name by a placeholder, so that one text serves any schema.
///
/// A search path would do the same for a session; but a pooler lends a session to many.
package struct SchemaPlaceholder: Sendable, Equatable {
    private let placeholder: String
    package let name: String

    /// - Parameters:
    ///   - placeholder: how statements name it: ASCII letters and digits.
    ///   - name: of lower-case ASCII letters, digits and `_` only: it becomes part of statements.
    package init(_ placeholder: String, standsFor name: String) {
        precondition(
            name.utf8.allSatisfy { Self.isWord($0) && $0 != UInt8(ascii: "$") },
            "a schema's name that would have to be escaped")
        self.placeholder = placeholder
        self.name = name
    }

    /// The statements for the schema: with `l2s` for a placeholder and the name `q`, `l2s.queue` is
    /// `"q".queue`, `'l2s'` and `SCHEMA l2s` are that schema, and `l2s_work`, the name of a channel or
    /// a role, is `q_work`. The word alone stays, as in a comment or a hint.
    package func render(_ statements: String) -> String {
        guard name != placeholder else { return statements }
        let bytes = Array(statements.utf8)
        let word = Array(placeholder.utf8)
        var rendered: [UInt8] = []
        rendered.reserveCapacity(bytes.count + 256)
        var index = 0
        while index < bytes.count {
            let end = index + word.count
            guard bytes[index...].starts(with: word),
                index == 0 || !Self.isWord(bytes[index - 1])
            else {
                rendered.append(bytes[index])
                index += 1
                continue
            }
            let next = end < bytes.count ? bytes[end] : UInt8(ascii: ";")
            let isQuoted = index > 0 && bytes[index - 1] == UInt8(ascii: "'")
            if next == UInt8(ascii: "_") {
                rendered += name.utf8
            } else if next == UInt8(ascii: ".") || (isQuoted && next == UInt8(ascii: "'"))
                || (!Self.isWord(next) && Self.endsWithSchema(rendered))
            {
                rendered += "\"\(name)\"".utf8
            } else {
                rendered += word
            }
            index = end
        }
        return String(decoding: rendered, as: UTF8.self)
    }

    private static func endsWithSchema(_ statements: [UInt8]) -> Bool {
        let word = "SCHEMA ".utf8
        return statements.suffix(word.count).elementsEqual(word)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
            true
        default: false
        }
    }
}
