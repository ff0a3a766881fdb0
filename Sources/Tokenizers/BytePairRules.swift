/// A byte-level vocabulary and its merges, as files hold them: not checked yet.
struct BytePairRules {
    var idOfEntry: [String: Int]
    /// The two entries that each merge joins, in order of rank.
    var merges: [(left: String, right: String)]
    var addsSpaceInFront = false
    /// Entries that stand for no text, beside those that no merge can make.
    var specialIDs: Set<Int> = []

    struct Problem: Error {
        let reason: String
    }

    /// Far above any vocabulary in use; keeps a damaged file from claiming the memory.
    static let largestID = 4_194_303

    func idOfByte() throws(Problem) -> [Int32] {
        var ids: [Int32] = []
        for scalar in ByteAlphabet.scalarOfByte { ids.append(try id(of: String(scalar))) }
        return ids
    }

    func mergeTable() throws(Problem) -> MergeTable {
        var table = MergeTable(capacity: merges.count)
        for (rank, merge) in merges.enumerated() {
            let (left, right) = (try id(of: merge.left), try id(of: merge.right))
            // A pair that is listed twice keeps its first rank.
            guard table[left, right] == nil else { continue }
            table[left, right] = .init(
                rank: Int32(clamping: rank), result: try id(of: merge.left + merge.right))
        }
        return table
    }

    /// Entries that are neither a byte nor made by a merge cannot come from text: they are
    /// special tokens, like <|endoftext|>, and stand for none.
    func bytesOfID() throws(Problem) -> [[UInt8]?] {
        var producible = Set(ByteAlphabet.scalarOfByte.map { String($0) })
        for merge in merges { producible.insert(merge.left + merge.right) }
        var bytes = [[UInt8]?](repeating: nil, count: try vocabularySize())
        for (entry, id) in idOfEntry where producible.contains(entry) && !specialIDs.contains(id) {
            guard let spelled = ByteAlphabet.bytes(of: entry) else {
                throw Problem(reason: "the entry of id \(id) is not spelled in GPT-2's alphabet")
            }
            bytes[id] = spelled
        }
        return bytes
    }

    private func vocabularySize() throws(Problem) -> Int {
        for id in idOfEntry.values where !(0...Self.largestID).contains(id) {
            throw Problem(reason: "expected ids from 0 to \(Self.largestID), got \(id)")
        }
        guard Set(idOfEntry.values).count == idOfEntry.count else {
            throw Problem(reason: "expected every id to have one entry, got several for one")
        }
        return 1 + (idOfEntry.values.max() ?? -1)
    }

    private func id(of entry: String) throws(Problem) -> Int32 {
        guard let id = idOfEntry[entry], (0...Self.largestID).contains(id) else {
            throw Problem(
                reason: "expected the vocabulary to hold every byte and all that its merges join "
                    + "and make, found no \(String(entry.prefix(60)).debugDescription)")
        }
        return Int32(id)
    }
}
