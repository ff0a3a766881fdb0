/// The key-value pairs of a GGUF file. Lists are decoded when they are asked for: those of the
/// vocabulary hold hundreds of thousands of texts.
package struct GGUFMetadata: Sendable {
    package let path: String
    private let values: [String: Value]
    private let file: FileMapping

    /// The types of values, by the numbers that files hold.
    enum ValueType: UInt32, Sendable {
        case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64
        case float64

        /// The bytes of a value; for a text or a list, the fewest.
        var size: Int {
            switch self {
            case .uint8, .int8, .bool: 1
            case .uint16, .int16: 2
            case .uint32, .int32, .float32: 4
            case .string, .uint64, .int64, .float64: 8
            case .array: 12
            }
        }
    }

    enum Value: Sendable {
        case whole(Int), number(Double), flag(Bool), text(String)
        /// The items begin at `position` of the file and were checked to lie within it.
        case list(ValueType, count: Int, position: Int)

        /// As it may appear in a message.
        var words: String {
            switch self {
            case .whole(let value): "\(value)"
            case .number(let value): "\(value)"
            case .flag(let value): "\(value)"
            case .text(let value): quoted(value)
            case .list(_, let count, _): "a list of \(count)"
            }
        }
    }

    /// - Parameter cursor: stands at the first pair, and afterwards at the end of the last one.
    init(_ cursor: inout FileCursor, pairs: Int) throws {
        path = cursor.file.path
        file = cursor.file
        var values: [String: Value] = [:]
        for _ in 0..<pairs {
            let key = try cursor.text("a metadata key")
            let value = try cursor.value(of: key)
            guard values.updateValue(value, forKey: key) == nil else {
                throw cursor.fail("expected each metadata key once, found \(quoted(key)) twice")
            }
        }
        self.values = values
    }

    /// Sorted.
    package var keys: [String] { values.keys.sorted() }

    package func has(_ key: String) -> Bool { values[key] != nil }

    private func refuse(_ key: String, _ expected: String) -> CheckpointError {
        CheckpointError(
            path: path,
            problem: .field(
                name: "the metadata " + quoted(key), expected: expected,
                found: values[key]?.words ?? "nothing"))
    }

    /// - Returns: nil where the file has no such key.
    /// - Throws: `CheckpointError` for a value of another type, as all functions below do.
    package func whole(_ key: String) throws -> Int? {
        guard let value = values[key] else { return nil }
        guard case .whole(let whole) = value else { throw refuse(key, "a whole number") }
        return whole
    }

    package func number(_ key: String) throws -> Double? {
        switch values[key] {
        case nil: return nil
        case .number(let value): return value
        case .whole(let value): return Double(value)
        default: throw refuse(key, "a number")
        }
    }

    package func flag(_ key: String) throws -> Bool? {
        guard let value = values[key] else { return nil }
        guard case .flag(let flag) = value else { throw refuse(key, "true or false") }
        return flag
    }

    package func text(_ key: String) throws -> String? {
        guard let value = values[key] else { return nil }
        guard case .text(let text) = value else { throw refuse(key, "text") }
        return text
    }

    /// A list of texts, decoded now.
    package func texts(_ key: String) throws -> [String]? {
        guard let value = values[key] else { return nil }
        guard case .list(.string, let count, let position) = value else {
            throw refuse(key, "a list of texts")
        }
        var cursor = FileCursor(file, at: position)
        return try (0..<count).map { _ in try cursor.text("a text of \(quoted(key))") }
    }

    /// A list of whole numbers of any width, decoded now.
    package func wholes(_ key: String) throws -> [Int]? {
        guard let value = values[key] else { return nil }
        guard case .list(let type, let count, let position) = value, type != .string,
            type != .float32, type != .float64
        else { throw refuse(key, "a list of whole numbers") }
        var cursor = FileCursor(file, at: position)
        return try (0..<count).map { _ in
            switch try cursor.scalar(type, of: key) {
            case .whole(let whole): whole
            case .flag(let flag): flag ? 1 : 0
            default: throw refuse(key, "a list of whole numbers")
            }
        }
    }

    /// A list of numbers, decoded now.
    package func numbers(_ key: String) throws -> [Float]? {
        guard let value = values[key] else { return nil }
        guard case .list(let type, let count, let position) = value, type != .string else {
            throw refuse(key, "a list of numbers")
        }
        var cursor = FileCursor(file, at: position)
        return try (0..<count).map { _ in
            switch try cursor.scalar(type, of: key) {
            case .whole(let whole): Float(whole)
            case .number(let number): Float(number)
            default: throw refuse(key, "a list of numbers")
            }
        }
    }

    /// A list of bytes, such as SentencePiece's table of normalizations.
    package func bytes(_ key: String) throws -> [UInt8]? {
        guard let value = values[key] else { return nil }
        guard case .list(let type, let count, let position) = value,
            type == .uint8 || type == .int8
        else { throw refuse(key, "a list of bytes") }
        return Array(file.bytes[position..<position + count])
    }
}

extension FileCursor {
    fileprivate mutating func type(of key: String) throws -> GGUFMetadata.ValueType {
        let number = try number(UInt32.self)
        guard let type = GGUFMetadata.ValueType(rawValue: number) else {
            throw fail(
                "expected the metadata \(quoted(key)) to be of a type from 0 to 12, got \(number); "
                    + "the file is damaged or of a later version than 3")
        }
        return type
    }

    fileprivate mutating func value(of key: String) throws -> GGUFMetadata.Value {
        let type = try type(of: key)
        guard type == .array else { return try scalar(type, of: key) }
        let item = try self.type(of: key)
        guard item != .array else {
            throw fail("expected the metadata \(quoted(key)) to be a flat list, found lists in it")
        }
        let count = try count(of: "items of \(quoted(key))", least: item.size)
        let start = position
        if item == .string {
            for _ in 0..<count { _ = try textRange("a text of \(quoted(key))") }
        } else {
            try skip(count * item.size)
        }
        return .list(item, count: count, position: start)
    }

    fileprivate mutating func scalar(
        _ type: GGUFMetadata.ValueType, of key: String
    ) throws -> GGUFMetadata.Value {
        switch type {
        case .uint8: .whole(Int(try number(UInt8.self)))
        case .int8: .whole(Int(try number(Int8.self)))
        case .uint16: .whole(Int(try number(UInt16.self)))
        case .int16: .whole(Int(try number(Int16.self)))
        case .uint32: .whole(Int(try number(UInt32.self)))
        case .int32: .whole(Int(try number(Int32.self)))
        case .float32: .number(Double(Float(bitPattern: try number(UInt32.self))))
        case .bool: .flag(try number(UInt8.self) != 0)
        case .string: .text(try text("the metadata \(quoted(key))"))
        // Nothing here counts that far, so a number that does not fit may become the largest.
        case .uint64: .whole(Int(clamping: try number(UInt64.self)))
        case .int64: .whole(Int(try number(Int64.self)))
        case .float64: .number(Double(bitPattern: try number(UInt64.self)))
        case .array: throw fail("expected the metadata \(quoted(key)) to be no list of lists")
        }
    }
}
