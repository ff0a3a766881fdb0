/// Byte-pair encoding of words: over bytes, as GPT-2 has it, or over characters with bytes for
/// those that the vocabulary lacks, as SentencePiece has it.
///
/// Source: huggingface/tokenizers, models/bpe/model.rs.
struct BytePairModel: Sendable {
    /// The pieces, spelled in the text's own bytes.
    var pieces: PieceTable
    var merges: MergeTable
    /// Whether words are taken byte by byte.
    var isByteLevel: Bool
    /// By byte: the id that stands for it; empty where characters without a piece are unknown.
    var idOfByte: [Int32]
    var unknownID: Int32?
    /// Whether unknown characters in a row are one unknown token.
    var fusesUnknown = false
    /// Whether a word that is a piece as a whole becomes that piece, whatever its merges would
    /// give.
    var ignoresMerges = false
    /// Ids that no text becomes.
    var specialIDs: Set<Int32> = []

    /// Appends the ids of a word of valid UTF-8.
    func append(_ word: ArraySlice<UInt8>, to ids: inout [Int32]) {
        if ignoresMerges, let id = pieces.id(of: word), !specialIDs.contains(id) {
            ids.append(id)
            return
        }
        ids += merges.merged(isByteLevel ? word.compactMap(symbol) : symbols(of: word))
    }

    private func symbol(of byte: UInt8) -> Int32? {
        let id = idOfByte[Int(byte)]
        return id >= 0 ? id : unknownID
    }

    private func symbols(of word: ArraySlice<UInt8>) -> [Int32] {
        var symbols: [Int32] = []
        symbols.reserveCapacity(word.count)
        var wasUnknown = false
        var index = word.startIndex
        while index < word.endIndex {
            let end = min(index + UTF8Text.length(from: word[index]), word.endIndex)
            let character = word[index..<end]
            index = end
            if let id = pieces.id(of: character), !specialIDs.contains(id) {
                symbols.append(id)
                wasUnknown = false
            } else if !idOfByte.isEmpty {
                for byte in character { symbols.append(idOfByte[Int(byte)]) }
                wasUnknown = false
            } else if let unknownID {
                if !(fusesUnknown && wasUnknown) { symbols.append(unknownID) }
                wasUnknown = true
            }
        }
        return symbols
    }
}
