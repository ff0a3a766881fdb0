/// Byte-level byte-pair encoding, as GPT-2 uses it.
package struct ByteLevelTokenizer: Tokenizer {
    private let idOfByte: [Int32]
    private let merges: MergeTable
    /// By id: the bytes it stands for; nil for special tokens and ids that are not in use.
    private let bytesOfID: [[UInt8]?]
    private let addsSpaceInFront: Bool

    package var vocabularySize: Int { bytesOfID.count }

    /// - Throws: `BytePairRules.Problem` when the rules contradict each other.
    init(_ rules: BytePairRules) throws(BytePairRules.Problem) {
        idOfByte = try rules.idOfByte()
        merges = try rules.mergeTable()
        bytesOfID = try rules.bytesOfID()
        addsSpaceInFront = rules.addsSpaceInFront
    }

    package func encode(_ text: String) -> [Int32] {
        var bytes = Array(text.utf8)
        if addsSpaceInFront, let first = bytes.first, first != UInt8(ascii: " ") {
            bytes.insert(UInt8(ascii: " "), at: 0)
        }
        var ids: [Int32] = []
        // Words repeat within a text. A cache per call needs no lock and cannot grow for ever.
        var cache: [ArraySlice<UInt8>: [Int32]] = [:]
        for word in WordSplitter(bytes[...]) {
            if let known = cache[word] {
                ids += known
                continue
            }
            let found = merges.merged(word.map { idOfByte[Int($0)] })
            if word.count <= Self.longestCachedWord, cache.count < Self.mostCachedWords {
                cache[word] = found
            }
            ids += found
        }
        return ids
    }

    private static let longestCachedWord = 64
    private static let mostCachedWords = 65_536

    package func ids(ofPieces pieces: [String]) -> [Int32?] {
        var idOfBytes: [[UInt8]: Int32] = [:]
        for (id, bytes) in bytesOfID.enumerated() {
            if let bytes { idOfBytes[bytes] = Int32(id) }
        }
        return pieces.map { ByteAlphabet.bytes(of: $0).flatMap { idOfBytes[$0] } }
    }

    package func decode(_ ids: [Int32]) -> String {
        var bytes: [UInt8] = []
        for id in ids where bytesOfID.indices.contains(Int(id)) {
            bytes += bytesOfID[Int(id)] ?? []
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
