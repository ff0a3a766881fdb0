internal import CLibpq

/// The rows of a statement's answer. A value is decoded when it is asked for.
package struct Rows: Sendable, RandomAccessCollection {
    let answer: Answer

    package var startIndex: Int { 0 }
    package var endIndex: Int { answer.count }
    package subscript(position: Int) -> Row {
        precondition(indices.contains(position), "row \(position) of \(count)")
        return Row(answer: answer, index: Int32(position))
    }

    /// The value in the first column of the first row.
    package func single<Value: ColumnValue>(
        as type: Value.Type = Value.self
    ) throws(DatabaseError) -> Value {
        guard let row = first else {
            throw .unexpectedValue(
                column: "1", expected: Value.columnDescription, found: "no row at all")
        }
        return try row.decode(column: 0, name: "1")
    }
}

package struct Row: Sendable {
    let answer: Answer
    let index: Int32

    /// Throws if there is no such column, or its value is NULL or cannot be read as `Value`.
    package func value<Value: ColumnValue>(
        _ name: String, as type: Value.Type = Value.self
    ) throws(DatabaseError) -> Value {
        try decode(column: answer.column(name), name: name)
    }

    /// The same as `value`, but returns nil for NULL.
    package func optional<Value: ColumnValue>(
        _ name: String, as type: Value.Type = Value.self
    ) throws(DatabaseError) -> Value? {
        let column = answer.column(name)
        if column >= 0, answer.text(index, column) == nil { return nil }
        return try decode(column: column, name: name)
    }

    func decode<Value: ColumnValue>(
        column: Int32, name: String
    ) throws(DatabaseError) -> Value {
        func unexpected(_ found: String) -> DatabaseError {
            .unexpectedValue(column: name, expected: Value.columnDescription, found: found)
        }
        guard column >= 0 else { throw unexpected("no such column") }
        guard let text = answer.text(index, column) else { throw unexpected("NULL") }
        // The error does not quote the text, because it may be a document's.
        guard let value = Value(columnText: text) else {
            throw unexpected("a text of \(text.utf8.count) bytes")
        }
        return value
    }
}

/// Owns a libpq result.
///
/// `@unchecked Sendable`: libpq never changes a result that it has handed out, so any thread may
/// read it.
final class Answer: @unchecked Sendable {
    private let result: OpaquePointer
    private let columns: [String: Int32]
    let count: Int

    init(owning result: OpaquePointer) {
        self.result = result
        count = Int(PQntuples(result))
        columns = Dictionary(
            (0..<PQnfields(result)).map { (String(cString: PQfname(result, $0)), $0) },
            uniquingKeysWith: { first, _ in first })
    }

    deinit { PQclear(result) }

    /// The index of a column; negative if there is none of that name.
    func column(_ name: String) -> Int32 { columns[name] ?? -1 }

    /// Nil for NULL.
    func text(_ row: Int32, _ column: Int32) -> String? {
        guard PQgetisnull(result, row, column) == 0, let bytes = PQgetvalue(result, row, column)
        else { return nil }
        let buffer = UnsafeRawBufferPointer(
            start: bytes, count: Int(PQgetlength(result, row, column)))
        return String(decoding: buffer, as: UTF8.self)
    }
}

/// A type that can be read from PostgreSQL's text form of a value.
package protocol ColumnValue {
    static var columnDescription: String { get }
    init?(columnText: String)
}

extension Int64: ColumnValue {
    package static var columnDescription: String { "an integer" }
    package init?(columnText: String) { self.init(columnText) }
}

extension Int: ColumnValue {
    package static var columnDescription: String { "an integer" }
    package init?(columnText: String) { self.init(columnText) }
}

/// `{1,2,3}`
extension [Int64]: ColumnValue {
    package static var columnDescription: String { "an array of integers" }
    package init?(columnText: String) {
        guard columnText.hasPrefix("{"), columnText.hasSuffix("}") else { return nil }
        let elements = columnText.dropFirst().dropLast().split(separator: ",")
        let numbers = elements.compactMap { Int64($0) }
        guard numbers.count == elements.count else { return nil }
        self = numbers
    }
}

/// `{Italian,"a, b",NULL}`
package struct TextArray: ColumnValue {
    package static var columnDescription: String { "an array of texts" }
    package let elements: [String?]

    package init?(columnText: String) {
        var rest = columnText.utf8.dropFirst()
        guard columnText.utf8.first == UInt8(ascii: "{") else { return nil }
        var elements: [String?] = []
        while let first = rest.first, first != UInt8(ascii: "}") {
            guard let element = Self.element(&rest) else { return nil }
            elements.append(element)
            if rest.first == UInt8(ascii: ",") { rest = rest.dropFirst() }
        }
        guard rest.elementsEqual("}".utf8) else { return nil }
        self.elements = elements
    }

    /// The inner nil stands for the element NULL, the outer one for text that is no element.
    private static func element(_ rest: inout Substring.UTF8View) -> String?? {
        var text: [UInt8] = []
        guard rest.first == UInt8(ascii: "\"") else {
            text = Array(rest.prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "}") })
            rest = rest.dropFirst(text.count)
            return text.elementsEqual("NULL".utf8)
                ? .some(nil) : String(decoding: text, as: UTF8.self)
        }
        rest = rest.dropFirst()
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = rest.popFirst() else { return nil }
                text.append(escaped)
            default: text.append(byte)
            }
        }
        return nil
    }
}

extension Double: ColumnValue {
    package static var columnDescription: String { "a number" }
    package init?(columnText: String) { self.init(columnText) }
}

extension Bool: ColumnValue {
    package static var columnDescription: String { "a boolean" }
    package init?(columnText: String) {
        switch columnText {
        case "t": self = true
        case "f": self = false
        default: return nil
        }
    }
}

extension String: ColumnValue {
    package static var columnDescription: String { "a text" }
    package init?(columnText: String) { self = columnText }
}
