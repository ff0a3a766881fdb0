/// Letters of scripts that put no blanks between words, as a vocabulary knows them.
///
/// Between two letters that no piece holds beside each other, every way to cut a text into pieces
/// has a cut. So the best way for the whole text consists of the best ways for both sides. (Of ways
/// that are equally good, rounding takes one: for example, where a word occurs three times, and two
/// of it are a piece.) Both letters have to be pieces by themselves, because the library makes one
/// unknown token of several characters in a row that it does not know.
struct UnspacedLetters {
    /// Letters that are pieces by themselves.
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

    /// The position of the first letter behind `length` bytes before which a text may be cut; nil
    /// for none.
    func boundary(in text: Slice<UnsafeBufferPointer<UInt8>>, after length: Int) -> Int? {
        guard !known.isEmpty else { return nil }
        var index = text.startIndex + length
        while index < text.endIndex, text[index] & 0xC0 == 0x80 { index += 1 }
        // All letters take three bytes.
        var before = index - text.startIndex >= 3 ? Self.letter(in: text, at: index - 3) : nil
        while index < text.endIndex {
            let next = Self.letter(in: text, at: index)
            // A letter has to follow `next`: a mark behind it could make another letter of it.
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

    /// The letter that starts at `index`; nil where none does.
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

    /// Ideographs, kana without their marks, syllables of Hangul and letters of Thai. No
    /// normalisation changes one of them or joins two.
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
