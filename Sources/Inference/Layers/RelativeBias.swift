package import Checkpoints

/// T5's learned bias on attention scores, by the distance between key and query.
struct RelativeBias: Sendable {
    /// [buckets, heads]
    private let table: FloatBuffer
    private let heads: Int
    private let buckets: RelativeBuckets

    init(
        _ loader: WeightLoader, _ layout: LayoutTensor, configuration: T5Configuration,
        isBidirectional: Bool
    ) throws {
        buckets = RelativeBuckets(configuration, isBidirectional: isBidirectional)
        heads = configuration.heads
        table = try loader.table(layout)
    }

    /// Writes a row per head to `target`: its biases for key − query in `distances`, in order.
    func rows(for distances: ClosedRange<Int>, into target: Rows) {
        for (column, distance) in distances.enumerated() {
            let bucket = buckets.bucket(of: distance)
            for head in 0..<heads { target[head][column] = table.base[bucket * heads + head] }
        }
    }
}

/// Gives each distance its row of the table of biases.
package struct RelativeBuckets: Sendable {
    package let count: Int
    private let maximumDistance: Int
    private let isBidirectional: Bool

    package init(_ configuration: T5Configuration, isBidirectional: Bool) {
        count = configuration.relativeBuckets
        maximumDistance = configuration.relativeMaximumDistance
        self.isBidirectional = isBidirectional
    }

    /// Half of the buckets of one side hold one distance each. The ranges of the others grow with
    /// the logarithm of the distance, up to the largest one (T5, arXiv 1910.10683, as transformers
    /// computes it).
    package func bucket(of keyMinusQuery: Int) -> Int {
        let side = isBidirectional ? count / 2 : count
        let offset = isBidirectional && keyMinusQuery > 0 ? side : 0
        let distance = isBidirectional ? abs(keyMinusQuery) : max(-keyMinusQuery, 0)
        let exact = side / 2
        if distance < exact { return offset + distance }
        let growth =
            logarithm(Float(distance) / Float(exact))
            / logarithm(Float(maximumDistance) / Float(exact)) * Float(side - exact)
        return offset + min(exact + Int(growth), side - 1)
    }
}
