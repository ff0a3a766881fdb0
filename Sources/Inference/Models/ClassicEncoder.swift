package import Checkpoints

/// The reading half of a classic transformer.
package final class ClassicEncoder: Sendable {
    private struct Block: Sendable {
        let attention: ClassicSelfAttention
        let feedForward: ClassicFeedForward
    }

    package let configuration: ClassicConfiguration
    private let embedding: ClassicEmbedding
    private let blocks: [Block]
    private let norm: LayerNorm?

    /// Loads the encoder's weights and no others.
    ///
    /// - Throws: `CheckpointError` for a missing tensor or a wrong shape.
    init(_ folder: ModelFolder, loader: WeightLoader) throws {
        let configuration = try folder.configuration(
            of: \.classic, "a classic transformer with an encoder")
        self.configuration = configuration
        embedding = try ClassicEmbedding(
            folder, loader: loader, side: "encoder", configuration: configuration)
        blocks = try (0..<configuration.encoder.layers).map { index in
            let prefix = loader.weights.classicPrefix + "encoder.layers.\(index)."
            return Block(
                attention: try ClassicSelfAttention(
                    loader, prefix: prefix, stack: configuration.encoder,
                    configuration: configuration),
                feedForward: try ClassicFeedForward(
                    loader, prefix: prefix, stack: configuration.encoder,
                    configuration: configuration))
        }
        norm = try loader.finalNorm(of: "encoder", configuration: configuration)
    }

    var tokens: EmbeddingTable { embedding.tokens }

    /// The number of weights that every token is multiplied with.
    var weightCount: Int {
        blocks.flatMap { $0.attention.matrices + $0.feedForward.matrices }
            .reduce(0) { $0 + $1.count }
    }

    /// Reads documents of any lengths in one pass without padding.
    ///
    /// - Parameter x: scaled token vectors [tokens, width], the documents below each other at
    ///   `documents`; on return the states.
    func encode(_ x: Rows, documents: [Range<Int>], workspace: Workspace) {
        embedding.place(
            x, at: documents.lazy.flatMap { 0..<$0.count }, workspace: workspace)
        for block in blocks {
            block.attention.apply(to: x, documents: documents, workspace: workspace)
            block.feedForward.apply(to: x, workspace: workspace)
        }
        norm?.apply(inPlace: x, workspace: workspace)
    }
}

extension WeightLoader {
    /// The norm at the end of one half; nil where norms come last.
    func finalNorm(of side: String, configuration: ClassicConfiguration) throws -> LayerNorm? {
        guard configuration.normsComeFirst else { return nil }
        return try LayerNorm(
            self, weights.classicPrefix + side + ".layer_norm", width: configuration.width,
            epsilon: configuration.epsilon)
    }
}
