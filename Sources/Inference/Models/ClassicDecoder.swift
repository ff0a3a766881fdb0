internal import Checkpoints

/// The writing half of a classic transformer, with the model's own encoder where its prompts are
/// input embeddings.
package final class ClassicDecoder: DecoderModel {
    private struct Block: Sendable {
        let selfAttention: ClassicSelfAttention
        let crossAttention: ClassicCrossAttention
        let feedForward: ClassicFeedForward

        var matrices: [PackedMatrix] {
            selfAttention.matrices + crossAttention.matrices + feedForward.matrices
        }
    }

    private let configuration: ClassicConfiguration
    private let embedding: ClassicEmbedding
    private let blocks: [Block]
    private let norm: LayerNorm?
    package let head: OutputHead
    private let cacheFormat: WeightFormat
    private let ownEncoder: ClassicEncoder?

    /// - Parameter ownEncoder: for a small model whose prompts are input embeddings; nil where
    ///   prompts are encoder states.
    /// - Throws: `CheckpointError` for a missing tensor or a wrong shape.
    init(_ folder: ModelFolder, ownEncoder: ClassicEncoder? = nil, loader: WeightLoader) throws {
        let configuration = try folder.configuration(
            of: \.classic, "a classic transformer with a decoder")
        self.configuration = configuration
        self.ownEncoder = ownEncoder
        cacheFormat = loader.cacheFormat
        embedding = try ClassicEmbedding(
            folder, loader: loader, side: "decoder", configuration: configuration)
        blocks = try (0..<configuration.decoder.layers).map { index in
            let prefix = loader.weights.classicPrefix + "decoder.layers.\(index)."
            return Block(
                selfAttention: try ClassicSelfAttention(
                    loader, prefix: prefix, stack: configuration.decoder,
                    configuration: configuration),
                crossAttention: try ClassicCrossAttention(
                    loader, prefix: prefix, configuration: configuration),
                feedForward: try ClassicFeedForward(
                    loader, prefix: prefix, stack: configuration.decoder,
                    configuration: configuration))
        }
        norm = try loader.finalNorm(of: "decoder", configuration: configuration)
        head = try Self.head(folder, loader: loader, configuration: configuration)
        try head.checkVocabulary(embedding.tokens, path: folder.path)
    }

    /// The head is the decoder's embedding, or a matrix of its own where the configuration says so.
    private static func head(
        _ folder: ModelFolder, loader: WeightLoader, configuration: ClassicConfiguration
    ) throws -> OutputHead {
        let table = try folder.weights.classicEmbedding(of: "decoder", configuration)
        let name = configuration.tiesEmbeddings ? table.name : "lm_head.weight"
        let weights = try loader.head(name, shape: [nil, configuration.width])
        var bias: WeightVector?
        if loader.contains("final_logits_bias") {
            let stored = try loader.table("final_logits_bias", shape: [1, weights.columns])
            bias = WeightVector(buffer: stored)
        }
        return OutputHead(
            weights, bias: bias, startID: configuration.startID, endIDs: configuration.endIDs,
            rules: folder.generation.rules)
    }

    package var stateWidth: Int { configuration.width }
    /// Prompts and responses have a limit each: see `Encoder.maximumTokens`.
    package var maximumPositions: Int? { nil }
    package var maximumNewTokens: Int? { configuration.maximumPositions }
    package var maximumSourceTokens: Int? { ownEncoder.map { _ in configuration.maximumPositions } }

    package func stepCost(sourceTokens: Int, position: Int, head: OutputHead) -> StepCost {
        StepCost(
            matrices: blocks.flatMap(\.matrices) + [head.weights], layers: blocks.count,
            width: configuration.width, positions: sourceTokens + position + 1,
            cacheFormat: cacheFormat)
    }

    private func cache(positions: Int, workspace: Workspace) -> KeyValueCache {
        KeyValueCache(
            layers: blocks.count, heads: configuration.decoder.heads,
            headWidth: configuration.width / configuration.decoder.heads, positions: positions,
            format: cacheFormat, memory: workspace.caches)
    }

    package func open(_ prompts: [OpenedPrompt], workspace: Workspace) -> [DecoderRow] {
        prompts.opened(
            encode: ownEncoder.map { encoder in
                { encoder.encode($0, documents: $1, workspace: workspace) }
            },
            cache: { cache(positions: $0, workspace: workspace) },
            prepare: { cache, states in
                for (layer, block) in blocks.enumerated() {
                    block.crossAttention.prepare(
                        cache, layer: layer, states: states, workspace: workspace)
                }
            }, workspace: workspace)
    }

    package func step(
        _ rows: [DecoderRow], tokens: [Int32], into hidden: FloatBuffer, workspace: Workspace
    ) {
        workspace.scope {
            let x = workspace.rows(rows.count, stateWidth)
            embedding.tokens.gather(tokens, into: x)
            let positions = rows.map { $0.advance() }
            embedding.place(x, at: positions, workspace: workspace)
            for (layer, block) in blocks.enumerated() {
                block.selfAttention.step(
                    x, rows: rows, positions: positions, layer: layer, workspace: workspace)
                block.crossAttention.step(x, rows: rows, layer: layer, workspace: workspace)
                block.feedForward.apply(to: x, workspace: workspace)
            }
            let output = hidden.rows(width: stateWidth).rows(0..<rows.count)
            if let norm { norm.apply(x, into: output) } else { output.copy(from: x) }
        }
    }
}
