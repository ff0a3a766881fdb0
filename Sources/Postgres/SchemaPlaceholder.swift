/// A schema that statements name by a placeholder, so that one text serves any schema.
///
/// A search path would do the same, but it belongs to the session, which a pooler lends to many.
package struct SchemaPlaceholder: Sendable, Equatable {
    private let placeholder: String
    package let name: String

    /// - Parameters:
    ///   - placeholder: the word in the statements. It has only ASCII letters and digits.
    ///   - name: the schema's name. It has only lower-case ASCII letters, digits and `_`, because
    ///     it becomes part of statements.
    package init(_ placeholder: String, standsFor name: String) {
        precondition(
            name.utf8.allSatisfy { Self.isWord($0) && $0 != UInt8(ascii: "$") },
            "a schema's name that would have to be escaped")
        self.placeholder = placeholder
        self.name = name
    }

    /// Returns the statements for the schema. If the placeholder is `l2s` and the name is `q`, then
    /// `l2s.queue` becomes `"q".queue`, the word in `'l2s'` and `SCHEMA l2s` becomes `"q"`, and
    /// `l2s_work`, the name of a channel or a role, becomes `q_work`. The word by itself, as in a
    /// comment or a hint, stays.
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
