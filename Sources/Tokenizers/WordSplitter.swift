/// Cuts a text into GPT-2's words: merges never cross their bounds. The rule is the expression
///
///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///
/// written out, so that no text can make it backtrack. Source: openai/gpt-2, encoder.py.
struct WordSplitter: Sequence, IteratorProtocol {
    private enum Kind { case letter, number, space, other }

    private let text: ArraySlice<UInt8>
    private var position: Int

    /// - Parameter text: valid UTF-8.
    init(_ text: ArraySlice<UInt8>) {
        self.text = text
        position = text.startIndex
    }

    mutating func next() -> ArraySlice<UInt8>? {
        guard position < text.endIndex else { return nil }
        let start = position
        position = contractionEnd(from: start) ?? wordEnd(from: start)
        return text[start..<position]
    }

    /// Past 's 't 'm 'd 're 've 'll: lower case and this apostrophe only.
    private func contractionEnd(from start: Int) -> Int? {
        guard text[start] == UInt8(ascii: "'"), start + 1 < text.endIndex else { return nil }
        switch text[start + 1] {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return start + 2
        case let first:
            guard start + 2 < text.endIndex else { return nil }
            switch (first, text[start + 2]) {
            case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
                (UInt8(ascii: "l"), UInt8(ascii: "l")):
                return start + 3
            default: return nil
            }
        }
    }

    /// Past one run of a kind, with one space in front; or past white space.
    private func wordEnd(from start: Int) -> Int {
        let first = scalar(at: start)
        if first.kind != .space { return runEnd(of: first.kind, from: first.end) }
        if text[start] == UInt8(ascii: " "), first.end < text.endIndex {
            let second = scalar(at: first.end)
            if second.kind != .space { return runEnd(of: second.kind, from: second.end) }
        }
        // A run of white space leaves its last character to the word behind it, unless that is
        // all there is.
        var last = start
        var end = first.end
        while end < text.endIndex {
            let next = scalar(at: end)
            guard next.kind == .space else { return last == start ? end : last }
            last = end
            end = next.end
        }
        return end
    }

    private func runEnd(of kind: Kind, from start: Int) -> Int {
        var end = start
        while end < text.endIndex {
            let next = scalar(at: end)
            guard next.kind == kind else { break }
            end = next.end
        }
        return end
    }

    private func scalar(at index: Int) -> (kind: Kind, end: Int) {
        let first = text[index]
        if first < 0x80 { return (Self.kindOfASCII[Int(first)], index + 1) }
        let length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        let end = Swift.min(index + length, text.endIndex)
        var value = UInt32(first) & (0x7F >> UInt32(length))
        for byte in text[index + 1..<end] { value = value << 6 | UInt32(byte & 0x3F) }
        return (Unicode.Scalar(value).map(Self.kind) ?? .other, end)
    }

    private static let kindOfASCII = (UInt8(0)..<0x80).map { kind(of: Unicode.Scalar($0)) }

    private static func kind(of scalar: Unicode.Scalar) -> Kind {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            .letter
        case .decimalNumber, .letterNumber, .otherNumber: .number
        default: scalar.properties.isWhitespace ? .space : .other
        }
    }
}
