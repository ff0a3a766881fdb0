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

    private var merges: [UInt64: Merge] = [:]

    package init(capacity: Int) { merges.reserveCapacity(capacity) }

    package subscript(left: Int32, right: Int32) -> Merge? {
        get { merges[Self.key(left, right)] }
        set { merges[Self.key(left, right)] = newValue }
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Applies the merges, lowest rank first and leftmost first within a rank.
    ///
    /// The symbols form a linked list, and merges wait in a heap; one whose symbols have changed
    /// since is dropped when it comes up. Cost: n log n for a word of n bytes.
    package func merged(_ symbols: [Int32]) -> [Int32] {
        guard symbols.count > 1 else { return symbols }
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

/// A binary heap of possible merges, the one to apply next on top.
private struct MergeHeap {
    struct Candidate {
        let merge: MergeTable.Merge
        /// Indices of the two symbols in their word.
        let left: Int32
        let right: Int32

        func precedes(_ other: Candidate) -> Bool {
            (merge.rank, left) < (other.merge.rank, other.left)
        }
    }

    private var candidates: [Candidate] = []

    mutating func insert(_ candidate: Candidate) {
        candidates.append(candidate)
        var child = candidates.count - 1
        while child > 0, candidates[child].precedes(candidates[(child - 1) / 2]) {
            candidates.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func popFirst() -> Candidate? {
        guard let first = candidates.first, let last = candidates.popLast() else { return nil }
        guard !candidates.isEmpty else { return first }
        candidates[0] = last
        var parent = 0
        while true {
            let (left, right) = (2 * parent + 1, 2 * parent + 2)
            var least = parent
            if left < candidates.count, candidates[left].precedes(candidates[least]) {
                least = left
            }
            if right < candidates.count, candidates[right].precedes(candidates[least]) {
                least = right
            }
            if least == parent { return first }
            candidates.swapAt(parent, least)
            parent = least
        }
    }
}
