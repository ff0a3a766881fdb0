/// The name of the schema that a queue lives in; a database may hold several.
///
/// Only names that need no quoting anywhere are allowed: they stand in statements, in shells, and
/// at the beginning of the names of channels and roles.
package struct SchemaName: Sendable, Hashable, CustomStringConvertible {
    package let description: String

    package static let standard = SchemaName(checked: "l2s")
    package static let expected =
        "the name of a schema: 1 to 50 of a-z, 0-9 and '_', a letter first, neither public, "
        + "information_schema nor pg_…"

    private init(checked text: String) { description = text }

    /// Nil for a name that is not as `expected` says.
    package init?(_ text: String) {
        guard (1...50).contains(text.utf8.count), let first = text.utf8.first,
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
            text.utf8.allSatisfy({
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "_")
            }),
            !text.hasPrefix("pg_"), !["public", "information_schema"].contains(text)
        else { return nil }
        description = text
    }
}
