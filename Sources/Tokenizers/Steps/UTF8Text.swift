/// Scalars in bytes of valid UTF-8.
enum UTF8Text {
    /// The number of bytes of the scalar that starts with this byte.
    static func length(from first: UInt8) -> Int {
        first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    }

    /// The scalar that starts at `index`, and where the next one does.
    static func scalar(in text: [UInt8], at index: Int) -> (value: UInt32, end: Int) {
        let first = text[index]
        if first < 0x80 { return (UInt32(first), index + 1) }
        let length = length(from: first)
        let end = min(index + length, text.count)
        var value = UInt32(first) & (0x7F >> UInt32(length))
        for byte in text[index + 1..<end] { value = (value << 6) | UInt32(byte & 0x3F) }
        return (value, end)
    }

    /// Where the scalar that ends before `index` starts.
    static func start(of text: [UInt8], before index: Int) -> Int {
        var start = index - 1
        while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }
}

/// The classes of a scalar that the rules of tokenizers ask for.
struct ScalarKind: OptionSet, Sendable {
    let rawValue: UInt8

    /// `\p{L}`
    static let letter = ScalarKind(rawValue: 1)
    /// `\p{N}`
    static let number = ScalarKind(rawValue: 2)
    /// `\s`
    static let space = ScalarKind(rawValue: 4)
    /// `\p{P}`
    static let punctuation = ScalarKind(rawValue: 8)
    /// `\r` and `\n`
    static let lineEnd = ScalarKind(rawValue: 16)
    /// `\w`
    static let word = ScalarKind(rawValue: 32)

    static func of(_ value: UInt32) -> ScalarKind {
        value < known.count ? known[Int(value)] : kind(of: value)
    }

    /// The kinds of the first scalars, because asking for a scalar's properties takes longer than
    /// looking up a whole word.
    private static let known = (0..<UInt32(0x2_0000)).map(kind)

    private static func kind(of value: UInt32) -> ScalarKind {
        guard let scalar = Unicode.Scalar(value) else { return [] }
        var kind: ScalarKind = []
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            kind = [.letter, .word]
        case .decimalNumber: kind = [.number, .word]
        case .letterNumber, .otherNumber: kind = .number
        case .nonspacingMark, .spacingMark, .enclosingMark: kind = .word
        case .connectorPunctuation: kind = [.punctuation, .word]
        case .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            kind = .punctuation
        default: break
        }
        if scalar.properties.isWhitespace { kind.insert(.space) }
        if scalar.properties.isAlphabetic || scalar.properties.isJoinControl { kind.insert(.word) }
        if scalar == "\n" || scalar == "\r" { kind.insert(.lineEnd) }
        return kind
    }
}
