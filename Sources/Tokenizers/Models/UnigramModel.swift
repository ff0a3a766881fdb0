/// Cuts a word into pieces in the most likely way, where pieces have independent probabilities.
///
/// Source: huggingface/tokenizers, models/unigram/model.rs, `encode_optimized`;
/// google/sentencepiece, unigram_model.cc.
struct UnigramModel: Sendable {
    /// The pieces, without those that no text becomes.
    let pieces: PieceTable
    /// By id: the log probability.
    private let scores: [Double]
    let unknownID: Int32?
    /// By byte: the id that stands for it; empty where characters without a piece are unknown.
    private let idOfByte: [Int32]
    private let unknownScore: Double

    /// What an unknown character costs beyond the least likely piece.
    private static let unknownPenalty = 10.0

    /// - Parameter idOfByte: 256 ids, or none.
    init(pieces: PieceTable, scores: [Double], unknownID: Int32?, idOfByte: [Int32]) {
        self.pieces = pieces
        self.scores = scores
        self.unknownID = unknownID
        self.idOfByte = idOfByte
        unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
    }

    /// The best way to a place in the word.
    private struct Node {
        var score = 0.0
        /// Where its last piece starts; -1 until a way is known.
        var start = -1
        /// -1 for an unknown character.
        var id: Int32 = -1
    }

    /// Appends the ids of a word of valid UTF-8.
    func append(_ word: ArraySlice<UInt8>, to ids: inout [Int32]) {
        let word = ArraySlice(Array(word))
        var nodes = [Node](repeating: Node(), count: word.count + 1)
        var start = 0
        while start < word.count {
            let length = min(UTF8Text.length(from: word[start]), word.count - start)
            let sofar = nodes[start].score
            var hash = PieceHash()
            var coversCharacter = false
            for end in start + 1...min(start + pieces.longest, word.count) {
                hash.add(word[end - 1])
                guard let id = pieces.id(of: word[start..<end], hash: hash) else { continue }
                reach(end, Node(score: sofar + scores[Int(id)], start: start, id: id), &nodes)
                if end == start + length { coversCharacter = true }
            }
            if !coversCharacter {
                reach(
                    start + length, Node(score: sofar + unknownScore, start: start, id: -1), &nodes)
            }
            start += length
        }
        appendPath(nodes, word, to: &ids)
    }

    private func reach(_ end: Int, _ node: Node, _ nodes: inout [Node]) {
        if nodes[end].start < 0 || node.score > nodes[end].score { nodes[end] = node }
    }

    private func appendPath(
        _ nodes: [Node], _ word: ArraySlice<UInt8>, to ids: inout [Int32]
    ) {
        var path: [(id: Int32, place: Range<Int>)] = []
        var end = word.count
        while end > 0 {
            let node = nodes[end]
            // Unknown characters in a row are one token.
            if node.id < 0, let last = path.last, last.id < 0 {
                path[path.count - 1].place = node.start..<last.place.upperBound
            } else {
                path.append((node.id, node.start..<end))
            }
            end = node.start
        }
        for (id, place) in path.reversed() {
            if id >= 0 {
                ids.append(id)
            } else if !idOfByte.isEmpty {
                for byte in word[place] { ids.append(idOfByte[Int(byte)]) }
            } else if let unknownID {
                ids.append(unknownID)
            }
        }
    }
}
