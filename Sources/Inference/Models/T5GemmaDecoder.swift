internal import Checkpoints

/// The writing half of a T5Gemma, which may be of another size than its encoder.
package final class T5GemmaDecoder: DecoderModel {
    private struct Layer: Sendable {
        let attention: RotaryAttention
        let crossAttention: RotaryCrossAttention
        let feedForward: RotaryFeedForward
        /// The index of its angles in `kinds`.
        let kind: Int
    }

    private let configuration: RotaryConfiguration
    /// The width of the encoder, whose states it attends to.
    package let stateWidth: Int
    private let embedding: EmbeddingTable
    private let layers: [Layer]
    private let kinds: [RotaryAngles]
    private let norm: WeightVector
    package let head: OutputHead
    private let cacheFormat: WeightFormat

    /// - Throws: `CheckpointError` for a missing tensor or a wrong shape.
    init(_ folder: ModelFolder, loader: WeightLoader) throws {
        let t5gemma = try folder.configuration(of: \.t5gemma, "a T5Gemma")
        let configuration = t5gemma.decoder
        self.configuration = configuration
        stateWidth = t5gemma.encoder.width
        cacheFormat = loader.cacheFormat
        let table = loader.kept(
            try folder.weights.t5gemmaEmbedding(.decoder, width: configuration.width))
        embedding = EmbeddingTable(table, scale: configuration.embeddingScale)
        let rotations = configuration.rotations
        kinds = rotations.kinds
        layers = try configuration.layers.enumerated().map { index, layer in
            let tensors = RotaryTensors(
                loader: loader, prefix: "model.decoder.layers.\(index).",
                configuration: configuration)
            return Layer(
                attention: try RotaryAttention(
                    tensors, layer: layer, norm: "pre_self_attn_layernorm",
                    outputNorm: "post_self_attn_layernorm"),
                crossAttention: try RotaryCrossAttention(
                    tensors, stateWidth: t5gemma.encoder.width, norm: "pre_cross_attn_layernorm",
                    outputNorm: "post_cross_attn_layernorm"),
                feedForward: try RotaryFeedForward(
                    tensors, norm: "pre_feedforward_layernorm",
                    outputNorm: "post_feedforward_layernorm"),
                kind: rotations.ofLayer[index])
        }
        norm = try loader.norm(
            "model.decoder.norm.weight", count: configuration.width,
            addsOne: configuration.normsAddOne)
        head = OutputHead(
            try loader.head(
                t5gemma.tiesEmbeddings ? table.name : "lm_head.out_proj.weight",
                shape: [nil, configuration.width]),
            startID: t5gemma.startID, endIDs: t5gemma.endIDs, cap: configuration.logitCap)
        try head.checkVocabulary(embedding, path: folder.path)
    }

    package var hiddenWidth: Int { configuration.width }
    /// The prompt has positions of its own.
    package var maximumPositions: Int? { nil }

    package func stepCost(sourceTokens: Int, position: Int, head: OutputHead) -> StepCost {
        StepCost(
            matrices: layers.flatMap {
                $0.attention.matrices + $0.crossAttention.matrices + $0.feedForward.matrices
            } + [head.weights],
            layers: layers.count, width: configuration.keyValueWidth,
            positions: sourceTokens + position + 1, cacheFormat: cacheFormat)
    }

    private func cache(positions: Int, workspace: Workspace) -> KeyValueCache {
        KeyValueCache(
            layers: layers.count, heads: configuration.keyValueHeads,
            headWidth: configuration.headWidth, positions: positions, format: cacheFormat,
            memory: workspace.caches)
    }

    package func open(_ prompts: [OpenedPrompt], workspace: Workspace) -> [DecoderRow] {
        prompts.map { prompt in
            let source = cache(positions: prompt.states.tokens, workspace: workspace)
            for (index, layer) in layers.enumerated() {
                layer.crossAttention.prepare(
                    source, layer: index, states: prompt.states.rows, workspace: workspace)
            }
            return DecoderRow(
                cache: cache(positions: prompt.maximumNewTokens, workspace: workspace),
                source: DecoderRow.Source(cache: source, tokens: prompt.states.tokens),
                position: 0, firstInput: nil)
        }
    }

    package func step(
        _ rows: [DecoderRow], tokens: [Int32], into hidden: FloatBuffer, workspace: Workspace
    ) {
        workspace.scope {
            let x = workspace.rows(rows.count, configuration.width)
            embedding.gather(tokens, into: x)
            let positions = rows.map { $0.advance() }
            let angles = kinds.map { $0.rows(at: positions, workspace: workspace) }
            for (index, layer) in layers.enumerated() {
                layer.attention.step(
                    x, rows: rows, positions: positions, layer: index, angles: angles[layer.kind],
                    workspace: workspace)
                layer.crossAttention.step(x, rows: rows, layer: index, workspace: workspace)
                layer.feedForward.apply(to: x, workspace: workspace)
            }
            Operators.rootMeanSquareNorm(
                x, weight: norm, epsilon: configuration.epsilon,
                into: hidden.rows(width: configuration.width).rows(0..<rows.count))
        }
    }
}
