package import Checkpoints

/// The reading half of a T5.
package final class T5Encoder: Sendable {
    private struct Block: Sendable {
        let attention: T5SelfAttention
        let feedForward: T5FeedForward
        /// Nil where the block shares the first one's.
        let bias: RelativeBias?
    }

    package let configuration: T5Configuration
    let embedding: EmbeddingTable
    private let blocks: [Block]
    private let norm: WeightVector

    /// Loads the encoder's weights and no others.
    ///
    /// - Throws: `CheckpointError` for a missing tensor or a wrong shape.
    package convenience init(_ folder: ModelFolder, format: WeightFormat = .float32) throws {
        try self.init(folder, loader: WeightLoader(folder, format: format))
    }

    init(_ folder: ModelFolder, loader: WeightLoader) throws {
        guard case .t5(let configuration) = folder.configuration else {
            throw InferenceError.wrongModel(
                path: folder.path, expected: "a T5 with an encoder",
                found: folder.configuration.name)
        }
        self.configuration = configuration
        embedding = EmbeddingTable(
            loader.kept(try folder.weights.tokenEmbedding(width: configuration.modelWidth)))
        blocks = try (0..<configuration.encoderLayers).map { index in
            let prefix = "encoder.block.\(index).layer."
            return Block(
                attention: try T5SelfAttention(
                    loader, prefix: prefix + "0.", configuration: configuration),
                feedForward: try T5FeedForward(
                    loader, prefix: prefix + "1.", configuration: configuration),
                bias: try RelativeBias(
                    loader, prefix: prefix + "0.", block: index, configuration: configuration,
                    isBidirectional: true))
        }
        norm = try loader.vector(
            "encoder.final_layer_norm.weight", count: configuration.modelWidth)
    }

    /// Weights that every token is multiplied with.
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

extension WeightFile {
    /// T5's token embedding under whichever name a checkpoint has it.
    package func tokenEmbedding(width: Int) throws -> StoredTensor {
        let names = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
        return try tensor(names.first { contains($0) } ?? names[0], shape: [nil, width])
    }
}
