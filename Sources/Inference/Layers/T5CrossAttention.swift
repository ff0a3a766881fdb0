internal import Checkpoints

/// x += o( softmax(q kᵀ) v ), where q is a projection of the normed x, and k and v are projections
/// of the encoder's states.
struct T5CrossAttention: Sendable {
    private let norm: WeightVector
    private let query: PackedMatrix
    /// k and v side by side: [modelWidth → 2 · innerWidth]
    private let keyValue: PackedMatrix
    private let output: PackedMatrix
    private let attention: HeadAttention
    private let epsilon: Float

    init(
        _ loader: WeightLoader, _ layout: T5Layout.Attention, configuration: T5Configuration
    ) throws {
        attention = HeadAttention(configuration, format: loader.cacheFormat)
        epsilon = configuration.epsilon
        query = try loader.matrix([layout.query])
        keyValue = try loader.matrix([layout.key, layout.value])
        output = try loader.matrix([layout.output])
        norm = try loader.vector(layout.norm)
    }

    /// The matrices that every token of a response is multiplied with.
    var matrices: [PackedMatrix] { [query, output] }

    /// Computes the keys and values of a document, once. states: [tokens, modelWidth].
    func prepare(_ cache: KeyValueCache, layer: Int, states: Rows, workspace: Workspace) {
        workspace.scope {
            let projected = workspace.rows(states.count, keyValue.columns)
            Operators.multiply(states, keyValue, into: projected, workspace: workspace)
            attention.prepare(cache, layer: layer, projected: projected)
        }
    }

    func step(_ x: Rows, rows: [DecoderRow], layer: Int, workspace: Workspace) {
        workspace.scope {
            let normed = workspace.rows(x.count, x.width)
            let queries = workspace.rows(x.count, attention.width)
            let mixed = workspace.rows(x.count, attention.width)
            Operators.rootMeanSquareNorm(x, weight: norm, epsilon: epsilon, into: normed)
            Operators.multiply(normed, query, into: queries, workspace: workspace)
            attention.overSources(
                queries, rows: rows, layer: layer, into: mixed, workspace: workspace)
            Operators.multiply(mixed, output, into: x, accumulate: true, workspace: workspace)
        }
    }
}
