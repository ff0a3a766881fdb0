/// Letters of scripts that put no blanks between words, as a vocabulary knows them.
///
/// Between two letters that no piece holds beside each other, every reading of a text has a cut, whatever
/// stands around them: the best reading of the whole is that of both sides (of readings that are equally
/// good, such as a word three times of which two are a piece, rounding takes one). Both have to be pieces
/// by themselves, because a library makes one unknown token of several signs that it does not know.
struct UnspacedLetters {
    private var known: Set<UInt32> = []
    /// Pairs of letters that stand beside each other in a piece.
    private var joined: Set<UInt64> = []

    init(_ pieces: some Sequence<String>) {
        for piece in pieces {
            let scalars = piece.unicodeScalars
            if scalars.count == 1, let only = scalars.first, Self.contain(only.value) {
                known.insert(only.value)
            }
            for (one, next) in zip(scalars, scalars.dropFirst())
            where Self.contain(one.value) && Self.contain(next.value) {
                joined.insert(Self.pair(one.value, next.value))
            }
        }
    }

    /// The position of the first letter past `length` bytes before which a text may be cut.
    func boundary(in text: Slice<UnsafeBufferPointer<UInt8>>, after length: Int) -> Int? {
        guard !known.isEmpty else { return nil }
        var index = text.startIndex + length
        while index < text.endIndex, text[index] & 0xC0 == 0x80 { index += 1 }
        // All letters take three bytes.
        var before = index - text.startIndex >= 3 ? Self.letter(in: text, at: index - 3) : nil
        while index < text.endIndex {
            let next = Self.letter(in: text, at: index)
            // A mark behind it could make another letter of it.
            if let before, let next, Self.letter(in: text, at: index + 3) != nil,
                known.contains(before), known.contains(next),
                !joined.contains(Self.pair(before, next))
            {
                return index
            }
            before = next
            index += UTF8Text.length(from: text[index])
        }
        return nil
    }

    /// Nil where none starts.
    private static func letter(in text: Slice<UnsafeBufferPointer<UInt8>>, at index: Int) -> UInt32?
    {
        guard index >= text.startIndex, index + 3 <= text.endIndex, text[index] & 0xF0 == 0xE0
        else {
            return nil
        }
        let value =
            UInt32(text[index] & 0x0F) << 12 | UInt32(text[index + 1] & 0x3F) << 6
            | UInt32(text[index + 2] & 0x3F)
        return contain(value) ? value : nil
    }

    private static func pair(_ one: UInt32, _ next: UInt32) -> UInt64 {
        UInt64(one) << 32 | UInt64(next)
    }

    /// Ideographs, kana without their marks, syllables of Hangul and letters of Thai: no normalisation
    /// changes any, nor joins two of them.
    private static func contain(_ value: UInt32) -> Bool {
        switch value {
        case 0x4E00...0x9FFF, 0x3041...0x3096, 0x30A1...0x30FA, 0xAC00...0xD7A3, 0x0E01...0x0E30,
            0x0E32,
            0x0E40...0x0E44:
            true
        default: false
        }
    }
}
