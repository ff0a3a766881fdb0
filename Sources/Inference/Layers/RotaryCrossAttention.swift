internal import Checkpoints

/// x += o( softmax(q kᵀ · scale) v ), where q is a projection of the normed x, and k and v are
/// projections of an encoder's states. None of them is turned by a position.
struct RotaryCrossAttention: Sendable {
    private let norm: WeightVector
    private let query: Linear
    /// k and v side by side: [encoder width → 2 · keyValueWidth]
    private let keyValue: Linear
    private let output: Linear
    private let outputNorm: WeightVector?
    private let configuration: RotaryConfiguration

    /// - Parameters:
    ///   - stateWidth: the width of the encoder's states.
    ///   - norm: the name of the norm of x, without `.weight`.
    ///   - outputNorm: the name of the norm of what is added to x, without `.weight`; nil for none.
    init(_ tensors: RotaryTensors, stateWidth: Int, norm: String, outputNorm: String?) throws {
        let configuration = tensors.configuration
        self.configuration = configuration
        let keys = configuration.keyValueWidth
        self.norm = try tensors.norm(norm)
        query = try tensors.linear(
            [("cross_attn.q_proj", configuration.queryWidth)], inner: configuration.width,
            hasBias: configuration.hasQueryKeyValueBias)
        keyValue = try tensors.linear(
            [("cross_attn.k_proj", keys), ("cross_attn.v_proj", keys)], inner: stateWidth,
            hasBias: configuration.hasQueryKeyValueBias)
        output = try tensors.linear(
            [("cross_attn.o_proj", configuration.width)], inner: configuration.queryWidth,
            hasBias: configuration.hasOutputBias)
        self.outputNorm = try outputNorm.map { try tensors.norm($0) }
    }

    /// The matrices that every token of a response is multiplied with.
    var matrices: [PackedMatrix] { [query.weight, output.weight] }

    /// Computes the keys and values of a document, once. states: [tokens, stateWidth].
    func prepare(_ cache: KeyValueCache, layer: Int, states: Rows, workspace: Workspace) {
        workspace.scope {
            let keys = configuration.keyValueWidth
            let projected = workspace.rows(states.count, keyValue.weight.columns)
            keyValue.apply(states, into: projected, workspace: workspace)
            cache.setAll(
                layer: layer, key: projected.columns(0..<keys),
                value: projected.columns(keys..<2 * keys))
        }
    }

    func step(_ x: Rows, rows: [DecoderRow], layer: Int, workspace: Workspace) {
        workspace.scope {
            let normed = workspace.rows(x.count, x.width)
            let queries = workspace.rows(x.count, configuration.queryWidth)
            let mixed = workspace.rows(x.count, configuration.queryWidth)
            Operators.rootMeanSquareNorm(
                x, weight: norm, epsilon: configuration.epsilon, into: normed)
            query.apply(normed, into: queries, workspace: workspace)
            for (index, row) in rows.enumerated() {
                guard let source = row.source else { continue }
                let own = index..<index + 1
                Operators.attend(
                    query: queries.rows(own), cache: source.cache, layer: layer,
                    length: source.tokens, group: configuration.group,
                    scale: configuration.attentionScale, cap: configuration.attentionCap,
                    into: mixed.rows(own), workspace: workspace)
            }
            output.add(
                mixed, to: x, norm: outputNorm, epsilon: configuration.epsilon,
                workspace: workspace)
        }
    }
}
