/// A binary heap of possible merges, the one to apply next on top.
struct MergeHeap {
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
