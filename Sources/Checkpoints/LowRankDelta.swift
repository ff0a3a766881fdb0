/// What a low-rank adapter adds to a matrix W [rows, columns]: scale · B · A (Hu et al. 2021,
/// arXiv 2106.09685).
package final class LowRankDelta: Sendable {
    /// [rank, columns].
    package let a: StoredTensor
    /// [rows, rank].
    package let b: StoredTensor
    package let scale: Float

    init(a: StoredTensor, b: StoredTensor, scale: Float) {
        (self.a, self.b, self.scale) = (a, b, scale)
    }

    package var rank: Int { a.shape[0] }

    /// Adds the delta to some elements of the matrix, in Float32. As in PEFT, the sum over the rank
    /// comes first and is then multiplied by the scale.
    ///
    /// - Precondition: `shape` is [rows, columns], and `target` has one element for each of
    ///   `elements`.
    func add(
        _ elements: Range<Int>, of shape: [Int], to target: UnsafeMutableBufferPointer<Float>
    ) {
        let (columns, rank) = (shape[1], rank)
        let rows = elements.lowerBound / columns..<(elements.upperBound + columns - 1) / columns
        withUnsafeTemporaryAllocation(
            of: Float.self, capacity: (rank + 1) * columns + rows.count * rank
        ) { scratch in
            let inner = UnsafeMutableBufferPointer(rebasing: scratch[..<(rank * columns)])
            let outer = UnsafeMutableBufferPointer(
                rebasing: scratch[(rank * columns)..<(rank * (columns + rows.count))])
            a.read(into: inner)
            b.read(rows.lowerBound * rank..<rows.upperBound * rank, into: outer)
            guard let inner = inner.baseAddress, let outer = outer.baseAddress else { return }
            let sum = inner + rank * (columns + rows.count)
            for row in rows {
                sum.update(repeating: 0, count: columns)
                for index in 0..<rank {
                    let factor = outer[(row - rows.lowerBound) * rank + index]
                    let vector = inner + index * columns
                    for column in 0..<columns { sum[column] += factor * vector[column] }
                }
                for element in (row * columns..<(row + 1) * columns).clamped(to: elements) {
                    target[element - elements.lowerBound] += scale * sum[element - row * columns]
                }
            }
        }
    }
}
