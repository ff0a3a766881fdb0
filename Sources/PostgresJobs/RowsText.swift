/// An array of rows in PostgreSQL's text form, written without Foundation.
///
/// A text is quoted twice: in its row, and with the row in the array.
struct RowsText {
    private var bytes = Array("{".utf8)
    private var isInRow = false

    var description: String { String(decoding: bytes, as: UTF8.self) + "}" }

    /// Writes a row. `fields` has to add its fields in the order of the row's type.
    mutating func addRow(_ fields: (inout RowsText) -> Void) {
        if bytes.count > 1 { append(",") }
        append("\"(")
        isInRow = false
        fields(&self)
        append(")\"")
    }

    mutating func add(_ value: Int64) { addBare(String(value)) }
    mutating func add(_ value: Int) { addBare(String(value)) }
    mutating func add(_ value: Bool) { addBare(value ? "t" : "f") }
    mutating func addMilliseconds(_ value: Duration) {
        addBare(String(value / .milliseconds(1)))
    }

    /// Nil becomes NULL. U+0000, which PostgreSQL cannot store, becomes U+FFFD.
    mutating func add(_ text: String?) {
        addBare("")
        guard var text else { return }
        append("\\\"")
        text.withUTF8 { units in
            for unit in units {
                switch unit {
                case 0: append("\u{fffd}")
                case UInt8(ascii: "\""): append("\\\"\\\"")
                case UInt8(ascii: "\\"): append("\\\\\\\\")
                default: bytes.append(unit)
                }
            }
        }
        append("\\\"")
    }

    private mutating func addBare(_ text: String) {
        if isInRow { append(",") }
        isInRow = true
        append(text)
    }

    private mutating func append(_ text: String) { bytes += text.utf8 }
}
