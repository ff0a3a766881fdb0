internal import Checkpoints

/// The reading half of a T5Gemma: every token sees those before it and behind it.
package final class T5GemmaEncoder: Sendable {
    let configuration: RotaryConfiguration
    let embedding: EmbeddingTable
    private let stack: RotaryStack
    private let norm: WeightVector
    private let cacheFormat: WeightFormat

    /// Loads the encoder's weights and no others.
    ///
    /// - Throws: `CheckpointError` for a missing tensor or a wrong shape.
    init(_ folder: ModelFolder, loader: WeightLoader) throws {
        let t5gemma = try folder.configuration(of: \.t5gemma, "a T5Gemma")
        let configuration = t5gemma.encoder
        self.configuration = configuration
        cacheFormat = loader.cacheFormat
        embedding = EmbeddingTable(
            loader.kept(try folder.weights.t5gemmaEmbedding(.encoder, width: configuration.width)),
            scale: configuration.embeddingScale)
        stack = RotaryStack(
            try configuration.layers.enumerated().map { index, layer in
                let tensors = RotaryTensors(
                    loader: loader, prefix: "model.encoder.layers.\(index).",
                    configuration: configuration)
                return RotaryLayer(
                    attention: try RotaryAttention(
                        tensors, layer: layer, norm: "pre_self_attn_layernorm",
                        outputNorm: "post_self_attn_layernorm", isCausal: false),
                    feedForward: try RotaryFeedForward(
                        tensors, norm: "pre_feedforward_layernorm",
                        outputNorm: "post_feedforward_layernorm"))
            }, configuration: configuration)
        norm = try loader.norm(
            "model.encoder.norm.weight", count: configuration.width,
            addsOne: configuration.normsAddOne)
    }

    /// The number of weights that every token is multiplied with.
    var weightCount: Int { stack.matrices.reduce(0) { $0 + $1.count } }

    /// Reads documents of any lengths in one pass without padding.
    ///
    /// - Parameter x: input embeddings, the documents below each other at `documents`; on return
    ///   the states after the final norm.
    func encode(_ x: Rows, documents: [Range<Int>], workspace: Workspace) {
        workspace.scope {
            let longest = documents.map(\.count).max() ?? 0
            let passing = KeyValueCache(
                layers: 1, heads: configuration.keyValueHeads, headWidth: configuration.headWidth,
                positions: longest, format: cacheFormat, memory: workspace.caches)
            let places = documents.map {
                RotaryDocument(rows: $0, position: 0, cache: passing, slot: 0, prefix: nil)
            }
            stack.read(
                x, layers: stack.layers.count, longest: longest, keysOnly: false,
                workspace: workspace, documents: { _ in places })
            Operators.rootMeanSquareNorm(
                x, weight: norm, epsilon: configuration.epsilon, into: x)
        }
    }
}

extension WeightFile {
    enum T5GemmaHalf: String { case encoder, decoder }

    /// Token vectors of one half, [rows, width].
    func t5gemmaEmbedding(_ half: T5GemmaHalf, width: Int) throws -> StoredTensor {
        try tensor("model.\(half.rawValue).embed_tokens.weight", shape: [nil, width])
    }
}
