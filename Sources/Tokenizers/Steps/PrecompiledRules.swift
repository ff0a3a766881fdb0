/// SentencePiece's normalization rules, as a tokenizer.json holds them: texts and what each
/// becomes, in a double-array trie.
///
/// Source: google/sentencepiece, normalizer.cc, which applies the longest rule at every place; and
/// huggingface/spm_precompiled, which applies the shortest rule that a grapheme starts with. It
/// takes a grapheme of up to five bytes as a whole, and a longer one scalar by scalar.
struct PrecompiledRules: Sendable {
    private let units: [UInt32]
    private let replacements: [UInt8]
    /// Whether rules are applied to graphemes, as in the Hugging Face library.
    private let takesGraphemes: Bool

    /// - Parameter bytes: the trie's size in bytes, the trie, the replacements, each ended by 0.
    ///   Nil for tables that lead outside of themselves.
    init?(_ bytes: [UInt8], takesGraphemes: Bool = true) {
        self.takesGraphemes = takesGraphemes
        guard bytes.withUnsafeBytes(SentencePieceCheck.isSafeTable), bytes.count > 4 else {
            return nil
        }
        func word(_ index: Int) -> UInt32 {
            bytes[index..<index + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        let size = Int(word(0))
        units = stride(from: 4, to: 4 + size, by: 4).map(word)
        replacements = Array(bytes[(4 + size)...])
    }

    func apply(to text: [UInt8]) -> [UInt8] {
        var normalized: [UInt8] = []
        normalized.reserveCapacity(text.count)
        if takesGraphemes {
            for grapheme in String(decoding: text, as: UTF8.self) {
                append(grapheme, to: &normalized)
            }
            return normalized
        }
        var index = 0
        while index < text.count {
            let rest = text[index...]
            let length = UTF8Text.length(from: text[index])
            if let rule = rule(at: rest, longest: true) {
                normalized += rule.replacement
                index += max(rule.length, 1)
            } else {
                normalized += rest.prefix(length)
                index += length
            }
        }
        return normalized
    }

    private func append(_ grapheme: Character, to normalized: inout [UInt8]) {
        let utf8 = grapheme.utf8
        if utf8.count < 6, let rule = rule(at: utf8, longest: false) {
            normalized += rule.replacement
            return
        }
        for scalar in grapheme.unicodeScalars {
            let utf8 = UTF8.encode(scalar).map { Array($0) } ?? []
            normalized += rule(at: utf8, longest: false)?.replacement ?? utf8[...]
        }
    }

    /// The longest or the shortest rule that `text` starts with, and how many bytes it covers.
    private func rule(
        at text: some Collection<UInt8>, longest: Bool
    ) -> (replacement: ArraySlice<UInt8>, length: Int)? {
        var found: (ArraySlice<UInt8>, Int)?
        var node = offset(of: units[0])
        for (index, byte) in text.enumerated() {
            guard byte != 0 else { break }
            node ^= Int(byte)
            let unit = units[node]
            guard unit & 0x8000_00FF == UInt32(byte) else { break }
            node ^= offset(of: unit)
            guard unit & 0x100 != 0 else { continue }
            let start = Int(units[node] & 0x7FFF_FFFF)
            found = (replacements[start...].prefix { $0 != 0 }, index + 1)
            if !longest { break }
        }
        return found
    }

    private func offset(of unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 1 << 9) >> 6)) }
}
