/// A vocabulary of byte-pair encoding and its merges, as files hold them: not checked yet.
struct BytePairFile {
    var entries: [(piece: String, id: Int)]
    /// The two entries that each merge joins, in order of rank.
    var merges: [(left: String, right: String)]
    /// Whether pieces are spelled in GPT-2's alphabet, not as the text itself.
    var isByteLevel = true
    var unknown: String?
    var fusesUnknown = false
    var hasByteFallback = false
    var ignoresMerges = false
    var special: Set<Int32> = []

    struct Problem: Error {
        let reason: String
    }

    /// Far above any vocabulary in use. The limit keeps a damaged file from using up the memory.
    static let largestID = 4_194_303

    /// - Throws: `Problem` when the rules contradict each other.
    func model() throws(Problem) -> BytePairModel {
        let pieces = try table()
        func id(of piece: String) -> Int32? { bytes(piece).flatMap { pieces.id(of: $0[...]) } }
        var model = BytePairModel(
            pieces: pieces, merges: try merges(pieces), isByteLevel: isByteLevel, idOfByte: [],
            unknownID: unknown.flatMap(id), fusesUnknown: fusesUnknown,
            ignoresMerges: ignoresMerges, specialIDs: special)
        if isByteLevel {
            model.idOfByte = (UInt8.min...UInt8.max).map { pieces.id(of: [$0]) ?? -1 }
            // Published vocabularies lack bytes that no training text had, such as control
            // characters. The Hugging Face library drops these bytes, too.
            let printable = 0x20...0x7E
            if model.unknownID == nil, let byte = printable.first(where: { model.idOfByte[$0] < 0 })
            {
                throw missing(String(ByteAlphabet.scalarOfByte[byte]))
            }
        } else if hasByteFallback {
            model.idOfByte = byteFallbackIDs { id(of: $0) }
        }
        return model
    }

    private func table() throws(Problem) -> PieceTable {
        var table = PieceTable(capacity: entries.count)
        var taken = Set<Int>()
        for (piece, id) in entries {
            guard (0...Self.largestID).contains(id) else {
                throw Problem(reason: "expected ids from 0 to \(Self.largestID), got \(id)")
            }
            guard taken.insert(id).inserted else { throw Self.doubled }
            // A token that no text can spell is never a piece of a text.
            guard let bytes = bytes(piece), !bytes.isEmpty else { continue }
            guard table.insert(bytes[...], id: Int32(id)) else {
                throw Self.doubled
            }
        }
        return table
    }

    private func merges(_ pieces: PieceTable) throws(Problem) -> MergeTable {
        var table = MergeTable(capacity: merges.count)
        for (rank, merge) in merges.enumerated() {
            guard let left = bytes(merge.left), let right = bytes(merge.right) else {
                throw missing(merge.left + merge.right)
            }
            func found(_ piece: [UInt8], _ name: String) throws(Problem) -> Int32 {
                guard let id = pieces.id(of: piece[...]) else { throw missing(name) }
                return id
            }
            let ids = (try found(left, merge.left), try found(right, merge.right))
            let result = try found(left + right, merge.left + merge.right)
            // No text becomes a special token, so no merge makes one.
            guard !special.contains(result) else { continue }
            table[ids.0, ids.1] = .init(rank: Int32(clamping: rank), result: result)
        }
        return table
    }

    private func bytes(_ piece: String) -> [UInt8]? {
        isByteLevel ? ByteAlphabet.bytes(of: piece) : Array(piece.utf8)
    }

    private static let doubled = Problem(
        reason: "expected every id to have one entry, got several for one")

    private func missing(_ piece: String) -> Problem {
        Problem(
            reason: "expected the vocabulary to hold every printable ASCII character and all "
                + "that its merges join and make, found no \(String(piece.prefix(60)).debugDescription)"
        )
    }
}

/// The ids of `<0x00>` to `<0xFF>`; none when one of them is missing.
func byteFallbackIDs(_ id: (String) -> Int32?) -> [Int32] {
    let ids = (UInt8.min...UInt8.max).compactMap { id(byteFallbackPiece($0)) }
    return ids.count == 256 ? ids : []
}

func byteFallbackPiece(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return "<0x" + (digits.count == 1 ? "0" : "") + digits + ">"
}
