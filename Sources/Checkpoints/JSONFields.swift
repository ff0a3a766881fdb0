import FoundationEssentials

/// The fields of a small JSON file, read one by one with checks.
struct JSONFields {
    let path: String
    let values: [String: Value]
    /// What errors put before a field's name: the field that holds this object, with a dot.
    private let prefix: String

    /// The most bytes of a file. The index of a large model is a few hundred kilobytes.
    static let largestFile = 100_000_000

    init(path: String) throws {
        let file = try FileMapping(path: path)
        guard file.bytes.count <= Self.largestFile else {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected at most \(Self.largestFile) bytes, got \(file.bytes.count)"))
        }
        try self.init(file.data(in: 0..<file.bytes.count), path: path)
    }

    /// - Parameter path: what errors call the text.
    init(_ text: Data, path: String) throws {
        self.path = path
        prefix = ""
        do {
            values = try JSONDecoder().decode([String: Value].self, from: text)
        } catch {
            throw CheckpointError(
                path: path, problem: .malformed("expected a JSON object, found other text"))
        }
    }

    private init(path: String, values: [String: Value], prefix: String) {
        self.path = path
        self.values = values
        self.prefix = prefix
    }

    /// The kinds of values that the files here hold. Any other kind becomes `other`.
    enum Value: Decodable {
        case null, flag(Bool), whole(Int), number(Double), text(String), list([Int])
        case lists([[Int]]), texts([String]), object([String: Value]), other

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self =
                if container.decodeNil() {
                    .null
                } else if let value = try? container.decode(Bool.self) {
                    .flag(value)
                } else if let value = try? container.decode(Int.self) {
                    .whole(value)
                } else if let value = try? container.decode(Double.self) {
                    .number(value)
                } else if let value = try? container.decode(String.self) {
                    .text(value)
                } else if let value = try? container.decode([Int].self) {
                    .list(value)
                } else if let value = try? container.decode([[Int]].self) {
                    .lists(value)
                } else if let value = try? container.decode([String].self) {
                    .texts(value)
                } else if let value = try? container.decode([String: Value].self) {
                    .object(value)
                } else {
                    .other
                }
        }

        /// As it may appear in a message.
        var words: String {
            switch self {
            case .null: "null"
            case .flag(let value): "\(value)"
            case .whole(let value): "\(value)"
            case .number(let value): "\(value)"
            case .text(let value): quoted(value)
            case .list(let value):
                value.count <= 8 ? "\(value)" : "a list of \(value.count) numbers"
            case .texts(let value): "a list of \(value.count) texts"
            case .lists, .object, .other: "another structure"
            }
        }
    }
}

extension JSONFields {
    func refuse(_ name: String, _ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(
            path: path,
            problem: .field(name: prefix + name, expected: expected, found: found))
    }

    func refuse(_ name: String, _ expected: String) -> CheckpointError {
        refuse(name, expected, values[name]?.words ?? "nothing")
    }

    /// Whether the field is there with a value other than null.
    func has(_ name: String) -> Bool {
        if case .null = values[name] ?? .null { false } else { true }
    }

    /// Whether the field is there, even as null. In some families, null and an absent field mean
    /// different things.
    func holds(_ name: String) -> Bool { values[name] != nil }

    /// Sorted.
    var names: [String] { values.keys.sorted() }

    /// Whether the field is an empty list.
    func isEmptyList(_ name: String) -> Bool {
        switch values[name] {
        case .list(let items): items.isEmpty
        case .texts(let items): items.isEmpty
        default: false
        }
    }

    /// The fields of an object in a field; nil where there is none.
    func object(_ name: String) throws -> JSONFields? {
        guard has(name) else { return nil }
        guard case .object(let value) = values[name] else { throw refuse(name, "an object") }
        return JSONFields(path: path, values: value, prefix: prefix + name + ".")
    }

    func texts(_ name: String) throws -> [String]? {
        switch values[name] ?? .null {
        case .null: return nil
        case .texts(let value): return value
        case .list(let value) where value.isEmpty: return []
        default: throw refuse(name, "a list of texts")
        }
    }

    func whole(
        _ name: String, in range: ClosedRange<Int>, default fallback: Int? = nil
    ) throws -> Int {
        if !has(name), let fallback { return fallback }
        guard case .whole(let value) = values[name], range.contains(value) else {
            throw refuse(name, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func number(
        _ name: String, in range: ClosedRange<Float>, default fallback: Float? = nil
    ) throws -> Float {
        if !has(name), let fallback { return fallback }
        let value: Double? =
            switch values[name] {
            case .whole(let value): Double(value)
            case .number(let value): value
            default: nil
            }
        guard let value, range.contains(Float(value)) else {
            throw refuse(name, "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return Float(value)
    }

    func flag(_ name: String) throws -> Bool? {
        guard has(name) else { return nil }
        guard case .flag(let value) = values[name] else { throw refuse(name, "true or false") }
        return value
    }

    func text(_ name: String) throws -> String {
        guard case .text(let value) = values[name] else { throw refuse(name, "text") }
        return value
    }

    func text(_ name: String, oneOf allowed: [String], default fallback: String? = nil) throws
        -> String
    {
        if !has(name), let fallback { return fallback }
        guard case .text(let value) = values[name], allowed.contains(value) else {
            throw refuse(name, allowed.joined(separator: " or "))
        }
        return value
    }

    /// Token ids: one, or a list of 1 to 64.
    func ids(_ name: String, default fallback: Int32) throws -> [Int32] {
        guard has(name) else { return [fallback] }
        let values: [Int] =
            switch values[name] {
            case .whole(let value): [value]
            case .list(let value): value
            default: []
            }
        let ids = values.compactMap(Int32.init(exactly:))
        guard (1...64).contains(values.count), ids.count == values.count,
            ids.allSatisfy({ $0 >= 0 })
        else { throw refuse(name, "a token id or a list of 1 to 64") }
        return ids
    }

    func wholes(_ name: String, in range: ClosedRange<Int>) throws -> [Int]? {
        guard has(name) else { return nil }
        guard case .list(let values) = values[name], values.count <= range.upperBound,
            values.allSatisfy(range.contains)
        else {
            throw refuse(
                name, "a list of whole numbers from \(range.lowerBound) to \(range.upperBound)")
        }
        return values
    }

    func id(_ name: String, default fallback: Int32) throws -> Int32 {
        Int32(try whole(name, in: 0...Int(Int32.max), default: Int(fallback)))
    }

    func textByName(_ name: String) throws -> [String: String] {
        guard case .object(let values) = values[name] else {
            throw refuse(name, "an object of texts")
        }
        return try values.mapValues {
            guard case .text(let text) = $0 else { throw refuse(name, "an object of texts") }
            return text
        }
    }
}
