package import Checkpoints

/// The reading half of a T5.
package final class T5Encoder: Sendable {
    private struct Block: Sendable {
        let attention: T5SelfAttention
        let feedForward: T5FeedForward
        /// Nil where the block shares the bias of the first one.
        let bias: RelativeBias?
    }

    package let configuration: T5Configuration
    let embedding: EmbeddingTable
    private let blocks: [Block]
    private let norm: WeightVector

    /// Loads the encoder's weights and no others.
    ///
    /// - Throws: `CheckpointError` for a missing tensor or a wrong shape.
    init(_ folder: ModelFolder, loader: WeightLoader) throws {
        let configuration = try folder.configuration(of: \.t5, "a T5 with an encoder")
        self.configuration = configuration
        let layout = try T5Layout(configuration, in: loader)
        embedding = try loader.kept(layout.embedding)
        blocks = try layout.encoder.blocks.map { block in
            Block(
                attention: try T5SelfAttention(
                    loader, block.selfAttention, configuration: configuration),
                feedForward: try T5FeedForward(
                    loader, block.feedForward, configuration: configuration),
                bias: try block.distanceBiases.map {
                    try RelativeBias(
                        loader, $0, configuration: configuration, isBidirectional: true)
                })
        }
        norm = try loader.vector(layout.encoder.norm)
    }

    /// The number of weights that every token is multiplied with.
    var weightCount: Int {
        blocks.flatMap { $0.attention.matrices + $0.feedForward.matrices }
            .reduce(0) { $0 + $1.count }
    }

    /// Reads documents of any lengths in one pass without padding.
    ///
    /// - Parameter x: input embeddings [tokens, modelWidth], the documents below each other at
    ///   `documents`; on return the states after the final norm.
    func encode(_ x: Rows, documents: [Range<Int>], workspace: Workspace) {
        workspace.scope {
            let longest = documents.map(\.count).max() ?? 0
            let bias = workspace.rows(configuration.heads, max(2 * longest - 1, 1))
            for block in blocks {
                if longest > 0 { block.bias?.rows(for: 1 - longest...longest - 1, into: bias) }
                block.attention.apply(
                    to: x, documents: documents, bias: bias, workspace: workspace)
                block.feedForward.apply(to: x, workspace: workspace)
            }
            let normed = workspace.rows(x.count, x.width)
            Operators.rootMeanSquareNorm(
                x, weight: norm, epsilon: configuration.epsilon, into: normed)
            x.copy(from: normed)
        }
    }
}

extension T5Layout {
    init(_ configuration: T5Configuration, in loader: WeightLoader) throws {
        try self.init(configuration, in: loader.weights, packed: loader.packedTensors)
    }
}
