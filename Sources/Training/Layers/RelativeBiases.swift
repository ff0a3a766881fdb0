internal import Inference

/// T5's biases on scores of one pass: per head a value and a gradient for each key − query, which
/// all layers that share a table share.
struct RelativeBiases {
    /// [heads, 2 · longest − 1], centred on key = query.
    private let stream: Stream
    private let isTraining: Bool

    /// - Parameter table: [buckets, heads]
    init(_ table: Weight, _ buckets: RelativeBuckets, longest: Int, _ pass: Pass) {
        let heads = table.columns
        let width = max(2 * longest - 1, 1)
        let stream = pass.stream(heads, width)
        let places = (0..<width).map { buckets.bucket(of: $0 - width / 2) }
        let values = pass.value(table)
        for head in 0..<heads {
            for (column, place) in places.enumerated() {
                stream.value[head][column] = values[place][head]
            }
        }
        pass.onBackward {
            let gradient = pass.gradient(table)
            for (column, place) in places.enumerated() {
                for head in 0..<heads { gradient[place][head] += stream.gradient[head][column] }
            }
        }
        self.stream = stream
        isTraining = pass.isTraining
    }

    private var centre: Int { stream.value.width / 2 }

    /// Points at the value for key = query.
    func values(head: Int) -> FloatPointer { stream.value[head] + centre }

    /// Adds the gradient of the scores [queries, keys] of one document and head.
    func add(_ scores: Rows, head: Int) {
        for query in 0..<scores.count {
            let source = scores[query]
            let target = stream.gradient[head] + (centre - query)
            for key in 0..<scores.width { target[key] += source[key] }
        }
    }
}
