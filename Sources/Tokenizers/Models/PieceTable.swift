/// The spellings of a vocabulary, byte for byte, and the ids they have.
struct PieceTable: Sendable {
    private var bytes: [UInt8] = []
    /// By id: where its spelling stands in `bytes`; empty for ids that are not in use.
    private(set) var places: [Range<Int>] = []
    /// Open addressing: the hash's upper half and one more than the id, 0 where free.
    private var slots: [UInt64]
    /// The bytes of the longest spelling.
    private(set) var longest = 0

    /// In bytes, for models whose work grows with the length of their longest piece, or with its
    /// square. Pieces in use have less than 200. The limit keeps a damaged file from never opening.
    static let longestPiece = 1_024

    /// - Parameter count: about how many spellings will be inserted.
    init(capacity count: Int) {
        var size = 16
        while size < 2 * count { size *= 2 }
        slots = [UInt64](repeating: 0, count: size)
    }

    /// Ids are below this.
    var idLimit: Int { places.count }

    /// The spelling of an id; nil for ids that are not in use.
    subscript(id: Int32) -> ArraySlice<UInt8>? {
        guard places.indices.contains(Int(id)), !places[Int(id)].isEmpty else { return nil }
        return bytes[places[Int(id)]]
    }

    /// The id of a spelling; nil for one that the table does not hold.
    func id(of spelling: ArraySlice<UInt8>) -> Int32? {
        id(of: spelling, hash: PieceHash(spelling))
    }

    /// - Parameter hash: that of the spelling.
    func id(of spelling: ArraySlice<UInt8>, hash: PieceHash) -> Int32? {
        let hash = hash.finished
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            if slots[slot] >> 32 == hash >> 32 {
                let id = Int32(truncatingIfNeeded: slots[slot] & 0xFFFF_FFFF) - 1
                if bytes[places[Int(id)]] == spelling { return id }
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Adds a spelling. Returns false when the table has it already, or the id is taken.
    ///
    /// - Precondition: 0 <= id.
    mutating func insert(_ spelling: ArraySlice<UInt8>, id: Int32) -> Bool {
        guard !spelling.isEmpty, self.id(of: spelling) == nil, self[id] == nil else { return false }
        while places.count <= Int(id) { places.append(0..<0) }
        places[Int(id)] = bytes.count..<bytes.count + spelling.count
        bytes += spelling
        longest = max(longest, spelling.count)
        count += 1
        if 2 * count > slots.count { grow() } else { place(id) }
        return true
    }

    private(set) var count = 0

    private mutating func place(_ id: Int32) {
        let hash = PieceHash(bytes[places[Int(id)]]).finished
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = hash & 0xFFFF_FFFF_0000_0000 | UInt64(id + 1)
    }

    private mutating func grow() {
        slots = [UInt64](repeating: 0, count: 2 * slots.count)
        for id in places.indices where !places[id].isEmpty { place(Int32(id)) }
    }
}

/// A hash that takes one byte at a time, so that one pass over a text gives the hashes of all its
/// prefixes.
/// Source: FNV-1a, with the end of MurmurHash3.
struct PieceHash {
    private var value: UInt64 = 0xCBF2_9CE4_8422_2325

    init() {}

    init(_ bytes: ArraySlice<UInt8>) {
        for byte in bytes { add(byte) }
    }

    mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }

    var finished: UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        return mixed ^ (mixed >> 33)
    }
}
