/// Reads JSON as RFC 8259 has it. Nesting is bounded, so that no file can exhaust the stack.
struct JSONTreeParser {
    private let bytes: [UInt8]
    private var position = 0

    private static let deepest = 64

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONTreeError) -> JSONTree {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        let value = try value(depth: 0)
        skipBlanks()
        guard position == bytes.count else { throw error("the end") }
        return value
    }

    private func error(_ expected: String) -> JSONTreeError {
        JSONTreeError(position: position, expected: expected)
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            position += 1
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONTreeError) -> JSONTree {
        guard depth < Self.deepest else { throw error("at most \(Self.deepest) levels") }
        skipBlanks()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return .number(try number())
        }
    }

    private mutating func word(
        _ word: StaticString, _ value: JSONTree
    ) throws(JSONTreeError) -> JSONTree {
        let spelled = Array("\(word)".utf8)
        guard bytes[position...].starts(with: spelled) else { throw error("\(word)") }
        position += spelled.count
        return value
    }

    private mutating func object(depth: Int) throws(JSONTreeError) -> JSONTree {
        position += 1
        var fields: [(name: String, value: JSONTree)] = []
        skipBlanks()
        if take(UInt8(ascii: "}")) { return .object(fields) }
        while true {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw error("a field's name") }
            let name = try string()
            skipBlanks()
            guard take(UInt8(ascii: ":")) else { throw error("a colon") }
            fields.append((name, try value(depth: depth + 1)))
            skipBlanks()
            if take(UInt8(ascii: "}")) { return .object(fields) }
            guard take(UInt8(ascii: ",")) else { throw error("a comma or a brace") }
        }
    }

    private mutating func array(depth: Int) throws(JSONTreeError) -> JSONTree {
        position += 1
        var values: [JSONTree] = []
        skipBlanks()
        if take(UInt8(ascii: "]")) { return .array(values) }
        while true {
            values.append(try value(depth: depth + 1))
            skipBlanks()
            if take(UInt8(ascii: "]")) { return .array(values) }
            guard take(UInt8(ascii: ",")) else { throw error("a comma or a bracket") }
        }
    }

    private mutating func number() throws(JSONTreeError) -> Double {
        let start = position
        while let byte = next, "+-.0123456789eE".utf8.contains(byte) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let number = Double(text), number.isFinite else {
            position = start
            throw error("a value")
        }
        return number
    }

    private mutating func string() throws(JSONTreeError) -> String {
        position += 1
        let start = position
        // Nearly every string holds no escape: it is then taken as it stands.
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
            guard byte >= 0x20 else { throw error("no control character") }
            position += 1
        }
        if take(UInt8(ascii: "\"")) { return try text(bytes[start..<position - 1]) }
        var spelled = Array(bytes[start..<position])
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try text(spelled[...])
            case UInt8(ascii: "\\"): try escape(into: &spelled)
            case 0..<0x20: throw error("no control character")
            default: spelled.append(byte)
            }
        }
        throw error("a closing quote")
    }

    private func text(_ bytes: ArraySlice<UInt8>) throws(JSONTreeError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw error("UTF-8") }
        return text
    }

    private mutating func escape(into spelled: inout [UInt8]) throws(JSONTreeError) {
        guard let byte = next else { throw error("an escape") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): spelled.append(byte)
        case UInt8(ascii: "b"): spelled.append(0x08)
        case UInt8(ascii: "f"): spelled.append(0x0C)
        case UInt8(ascii: "n"): spelled.append(0x0A)
        case UInt8(ascii: "r"): spelled.append(0x0D)
        case UInt8(ascii: "t"): spelled.append(0x09)
        case UInt8(ascii: "u"): spelled += Array(String(try scalar()).utf8)
        default: throw error("an escape")
        }
    }

    /// A scalar of four hexadecimal digits, or of two such surrogates.
    private mutating func scalar() throws(JSONTreeError) -> Unicode.Scalar {
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
            throw error("a pair of surrogates")
        }
        let second = try hexadecimal()
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) * 0x400 + (second - 0xDC00))
        else { throw error("a pair of surrogates") }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONTreeError) -> UInt32 {
        guard position + 4 <= bytes.count else { throw error("four hexadecimal digits") }
        var value: UInt32 = 0
        for byte in bytes[position..<position + 4] {
            guard let digit = Self.hexadecimalDigit(byte) else {
                throw error("four hexadecimal digits")
            }
            value = (value << 4) | digit
        }
        position += 4
        return value
    }

    private static func hexadecimalDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte) - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte) - 0x57
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte) - 0x37
        default: nil
        }
    }
}
