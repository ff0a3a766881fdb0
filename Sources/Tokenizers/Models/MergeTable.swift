/// Byte-pair merges by rank, applied to one word at a time.
package struct MergeTable: Sendable {
    /// What two neighbours become, and how early in training that merge was learned.
    package struct Merge: Equatable, Sendable {
        package let rank: Int32
        package let result: Int32

        package init(rank: Int32, result: Int32) {
            self.rank = rank
            self.result = result
        }
    }

    /// Open addressing. No pair has the key of a free place: ids are not negative.
    private var keys: [UInt64]
    private var merges: [Merge]
    private var count = 0

    private static let free = UInt64.max

    package init(capacity: Int) {
        var size = 16
        while size < 2 * capacity { size *= 2 }
        keys = [UInt64](repeating: Self.free, count: size)
        merges = [Merge](repeating: Merge(rank: 0, result: 0), count: size)
    }

    /// Nil for neighbours that stay two. A pair that is set twice keeps its first merge.
    package subscript(left: Int32, right: Int32) -> Merge? {
        get {
            let key = Self.key(left, right)
            let place = place(of: key)
            return keys[place] == key && key != Self.free ? merges[place] : nil
        }
        set {
            guard let newValue else { return }
            let key = Self.key(left, right)
            var place = place(of: key)
            guard keys[place] == Self.free else { return }
            count += 1
            if 2 * count > keys.count {
                grow()
                place = self.place(of: key)
            }
            keys[place] = key
            merges[place] = newValue
        }
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Where the key is, or is to be.
    private func place(of key: UInt64) -> Int {
        var mixed = key &* 0x9E37_79B9_7F4A_7C15
        mixed ^= mixed >> 32
        var place = Int(truncatingIfNeeded: mixed) & (keys.count - 1)
        while keys[place] != key, keys[place] != Self.free {
            place = (place + 1) & (keys.count - 1)
        }
        return place
    }

    private mutating func grow() {
        let (oldKeys, oldMerges) = (keys, merges)
        keys = [UInt64](repeating: Self.free, count: 2 * oldKeys.count)
        merges = [Merge](repeating: Merge(rank: 0, result: 0), count: keys.count)
        for (key, merge) in zip(oldKeys, oldMerges) where key != Self.free {
            let place = place(of: key)
            keys[place] = key
            merges[place] = merge
        }
    }

    /// Applies the merges, lowest rank first and leftmost first within a rank.
    package func merged(_ symbols: [Int32]) -> [Int32] {
        if symbols.count < 2 { return symbols }
        return symbols.count <= Self.shortWord ? mergedByScan(symbols) : mergedByHeap(symbols)
    }

    /// Up to this number of symbols, looking at all pairs for each merge costs less than a heap.
    private static let shortWord = 24

    private func mergedByScan(_ symbols: [Int32]) -> [Int32] {
        var ids = symbols
        let none = Merge(rank: .max, result: -1)
        // What each symbol and the one behind it would become.
        var offers = ids.indices.dropLast().map { self[ids[$0], ids[$0 + 1]] ?? none }
        while true {
            var best = -1
            var rank = Int32.max
            for (index, offer) in offers.enumerated() where offer.rank < rank {
                (best, rank) = (index, offer.rank)
            }
            guard best >= 0 else { return ids }
            ids[best] = offers[best].result
            ids.remove(at: best + 1)
            offers.remove(at: best)
            if best < offers.count { offers[best] = self[ids[best], ids[best + 1]] ?? none }
            if best > 0 { offers[best - 1] = self[ids[best - 1], ids[best]] ?? none }
        }
    }

    /// The symbols form a linked list, and merges wait in a heap. A merge whose symbols have
    /// changed meanwhile is dropped when it comes up. Cost: n log n for a word of n symbols.
    private func mergedByHeap(_ symbols: [Int32]) -> [Int32] {
        var ids = symbols
        // Neighbours as indices; `count` and -1 are the ends.
        var after = Array(1...Int32(symbols.count))
        var before = Array(-1..<Int32(symbols.count) - 1)
        var waiting = MergeHeap()
        func offer(_ left: Int32, _ right: Int32) {
            if let merge = self[ids[Int(left)], ids[Int(right)]] {
                waiting.insert(.init(merge: merge, left: left, right: right))
            }
        }
        for left in 0..<Int32(symbols.count - 1) { offer(left, left + 1) }
        while let next = waiting.popFirst() {
            let (left, right) = (Int(next.left), Int(next.right))
            // A merged-away symbol has id -1, which no merge knows.
            guard after[left] == next.right, self[ids[left], ids[right]] == next.merge else {
                continue
            }
            ids[left] = next.merge.result
            ids[right] = -1
            after[left] = after[right]
            if after[left] < ids.count {
                before[Int(after[left])] = next.left
                offer(next.left, after[left])
            }
            if before[left] >= 0 { offer(before[left], next.left) }
        }
        return ids.filter { $0 >= 0 }
    }
}
