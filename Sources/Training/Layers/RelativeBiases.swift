internal import Inference

/// T5's biases on attention scores in one pass: for each head, a value and a gradient for each
/// distance key − query. Layers with the same table share them.
struct RelativeBiases {
    /// [heads, 2 · longest − 1], centred on key = query.
    private let variable: Variable
    private let isTraining: Bool

    /// - Parameter table: [buckets, heads]
    init(_ table: Weight, _ buckets: RelativeBuckets, longest: Int, _ tape: Tape) {
        let heads = table.columns
        let width = max(2 * longest - 1, 1)
        let variable = tape.variable(heads, width)
        let places = (0..<width).map { buckets.bucket(of: $0 - width / 2) }
        let values = tape.value(table)
        for head in 0..<heads {
            for (column, place) in places.enumerated() {
                variable.value[head][column] = values[place][head]
            }
        }
        tape.onBackward {
            let gradient = tape.gradient(table)
            for (column, place) in places.enumerated() {
                for head in 0..<heads { gradient[place][head] += variable.gradient[head][column] }
            }
        }
        self.variable = variable
        isTraining = tape.isTraining
    }

    private var centre: Int { variable.value.width / 2 }

    /// Points at the value for key = query.
    func values(head: Int) -> FloatPointer { variable.value[head] + centre }

    /// Adds the gradient of the scores [queries, keys] of one document and head.
    func add(_ scores: Rows, head: Int) {
        for query in 0..<scores.count {
            let source = scores[query]
            let target = variable.gradient[head] + (centre - query)
            for key in 0..<scores.width { target[key] += source[key] }
        }
    }
}
