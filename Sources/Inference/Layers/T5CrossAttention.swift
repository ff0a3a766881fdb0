internal import Checkpoints

/// x += o( softmax(q kᵀ) v ), q of the normed x, k and v of the encoder's states.
struct T5CrossAttention: Sendable {
    private let norm: WeightVector
    private let query: PackedMatrix
    /// k and v side by side: [modelWidth → 2 · innerWidth]
    private let keyValue: PackedMatrix
    private let output: PackedMatrix
    private let innerWidth: Int
    private let epsilon: Float

    /// - Parameter prefix: such as `decoder.block.0.layer.1.`.
    init(_ loader: WeightLoader, prefix: String, configuration: T5Configuration) throws {
        innerWidth = configuration.innerWidth
        epsilon = configuration.epsilon
        let wide = [configuration.innerWidth, configuration.modelWidth]
        let attention = prefix + "EncDecAttention."
        query = try loader.matrix([attention + "q.weight"], shape: wide)
        keyValue = try loader.matrix(["k", "v"].map { attention + $0 + ".weight" }, shape: wide)
        output = try loader.matrix([attention + "o.weight"], shape: wide.reversed())
        norm = try loader.vector(prefix + "layer_norm.weight", count: configuration.modelWidth)
    }

    /// Those that every token passes.
    var matrices: [PackedMatrix] { [query, output] }

    /// Keys and values of a document, once. states: [tokens, modelWidth].
    func prepare(_ cache: KeyValueCache, layer: Int, states: Rows, workspace: Workspace) {
        workspace.scope {
            let projected = workspace.rows(states.count, keyValue.columns)
            Operators.multiply(states, keyValue, into: projected, workspace: workspace)
            cache.setAll(
                layer: layer, key: projected.columns(0..<innerWidth),
                value: projected.columns(innerWidth..<2 * innerWidth))
        }
    }

    func step(_ x: Rows, rows: [DecoderRow], layer: Int, workspace: Workspace) {
        workspace.scope {
            let normed = workspace.rows(x.count, x.width)
            let queries = workspace.rows(x.count, innerWidth)
            let mixed = workspace.rows(x.count, innerWidth)
            Operators.rootMeanSquareNorm(x, weight: norm, epsilon: epsilon, into: normed)
            Operators.multiply(normed, query, into: queries, workspace: workspace)
            for (index, row) in rows.enumerated() {
                guard let source = row.source else { continue }
                let own = index..<index + 1
                Operators.attend(
                    query: queries.rows(own), cache: source.cache, layer: layer,
                    length: source.tokens, scale: 1, bias: nil, biasStride: 0,
                    into: mixed.rows(own), workspace: workspace)
            }
            Operators.multiply(mixed, output, into: x, accumulate: true, workspace: workspace)
        }
    }
}
