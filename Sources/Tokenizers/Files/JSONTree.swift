/// JSON of a tokenizer's file. The fields of an object are a list, because a dictionary of Swift
/// strings would take "é" and "e" with an accent behind it for the same name.
enum JSONTree: Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONTree])
    /// In the order of the file.
    case object([(name: String, value: JSONTree)])

    /// - Throws: `JSONTreeError`.
    init(_ bytes: [UInt8]) throws(JSONTreeError) {
        var parser = JSONTreeParser(bytes)
        self = try parser.document()
    }

    /// The value of an object's last field of this name; nil for none, and for `null`.
    subscript(name: String) -> JSONTree? {
        guard case .object(let fields) = self,
            let value = fields.last(where: { $0.name == name })?.value
        else { return nil }
        if case .null = value { return nil }
        return value
    }

    var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    var flag: Bool? {
        guard case .bool(let flag) = self else { return nil }
        return flag
    }

    var number: Double? {
        guard case .number(let number) = self else { return nil }
        return number
    }

    /// Nil for a number that is not whole.
    var whole: Int? { number.flatMap(Int.init(exactly:)) }

    var list: [JSONTree]? {
        guard case .array(let list) = self else { return nil }
        return list
    }

    var fields: [(name: String, value: JSONTree)]? {
        guard case .object(let fields) = self else { return nil }
        return fields
    }
}

/// Where a text stops being JSON.
struct JSONTreeError: Error {
    /// Bytes from the start.
    let position: Int
    let expected: String

    var reason: String { "expected \(expected) at byte \(position), found no such JSON" }
}

extension JSONTree {
    /// - Throws: `TokenizerError`.
    init(file path: String) throws {
        let bytes = Array(try readTokenizerBytes(path))
        do throws(JSONTreeError) {
            self = try JSONTree(bytes)
        } catch {
            throw TokenizerError(path: path, problem: .malformed(error.reason))
        }
    }
}
