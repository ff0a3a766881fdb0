/// Checks the one part of a spiece.model that the library does not check itself: the tables of its
/// normalisation rules. A damaged table would make it read outside of its memory (SIGSEGV).
///
/// The file is a protocol buffer; field 3 (and 5, for decoding) is a NormalizerSpec whose field 2
/// holds: the trie's size in bytes (UInt32), the trie (Darts, UInt32 units), the replacements
/// (texts that end in 0). Source: google/sentencepiece, sentencepiece_model.proto, normalizer.cc.
enum SentencePieceCheck {
    /// Whether every step that a text can take through the tables of `model` stays within them.
    static func isSafe(_ model: UnsafeRawBufferPointer) -> Bool {
        guard let specs = Wire.texts(of: [3, 5], in: model) else { return false }
        return specs.allSatisfy { spec in
            Wire.texts(of: [2], in: spec)?.allSatisfy(isSafeTable) ?? false
        }
    }

    static func isSafeTable(_ table: UnsafeRawBufferPointer) -> Bool {
        // The model has no rules.
        if table.isEmpty { return true }
        guard table.count > 4 else { return false }
        let trieSize = Int(table.loadUnaligned(as: UInt32.self))
        guard trieSize % 4 == 0, trieSize > 0, trieSize < table.count - 4 else { return false }
        let replacements = UnsafeRawBufferPointer(rebasing: table[(4 + trieSize)...])
        guard replacements.last == 0 else { return false }
        let count = trieSize / 4
        func unit(_ index: Int) -> UInt32 {
            table.loadUnaligned(fromByteOffset: 4 + 4 * index, as: UInt32.self)
        }
        return (0..<count).allSatisfy { index in
            let node = unit(index)
            // The unit is a value: no step starts from it. Every text starts at the first unit,
            // whatever it is, so that it must be none.
            if node >> 31 == 1 { return index > 0 }
            let next = index ^ Int((node >> 10) << ((node & 1 << 9) >> 6))
            // From here a step goes to any of the 256 units around `next`.
            guard next | 0xFF < count else { return false }
            let hasValue = node & 1 << 8 != 0
            return !hasValue || Int(unit(next) & 0x7FFF_FFFF) < replacements.count
        }
    }
}

/// Just enough of protocol buffers to find fields of bytes.
private enum Wire {
    /// The contents of the fields with these numbers; nil when the message is malformed.
    static func texts(
        of numbers: Set<UInt64>, in message: UnsafeRawBufferPointer
    ) -> [UnsafeRawBufferPointer]? {
        var found: [UnsafeRawBufferPointer] = []
        var rest = message[...]
        while !rest.isEmpty {
            guard let key = number(from: &rest) else { return nil }
            let size: Int
            switch key & 7 {
            case 0:
                guard number(from: &rest) != nil else { return nil }
                size = 0
            case 1: size = 8
            case 2:
                guard let length = number(from: &rest).flatMap(Int.init(exactly:)) else {
                    return nil
                }
                size = length
            case 5: size = 4
            default: return nil
            }
            guard size <= rest.count else { return nil }
            if key & 7 == 2, numbers.contains(key >> 3) {
                found.append(UnsafeRawBufferPointer(rebasing: rest.prefix(size)))
            }
            rest = rest.dropFirst(size)
        }
        return found
    }

    private static func number(from rest: inout Slice<UnsafeRawBufferPointer>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}
