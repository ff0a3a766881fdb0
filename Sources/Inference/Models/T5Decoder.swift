internal import Checkpoints

/// The writing half of a T5, with the model's own encoder where its prompts are input embeddings.
package final class T5Decoder: DecoderModel {
    private struct Block: Sendable {
        let selfAttention: T5SelfAttention
        let crossAttention: T5CrossAttention
        let feedForward: T5FeedForward
        let bias: RelativeBias?
    }

    /// The most tokens of a response. The table of relative biases is made for so many distances.
    package static let maximumResponse = 4_096

    private let configuration: T5Configuration
    private let embedding: EmbeddingTable
    private let blocks: [Block]
    /// Per block that has its own: [heads, maximumResponse], the last column for distance 0.
    private let biases: [FloatBuffer?]
    private let norm: WeightVector
    package let head: OutputHead
    private let cacheFormat: WeightFormat
    private let ownEncoder: T5Encoder?

    /// - Parameter ownEncoder: for an encoder-decoder SLM whose prompts are input embeddings; nil
    ///   where prompts are encoder states.
    /// - Throws: `CheckpointError` for a missing tensor or a wrong shape.
    init(_ folder: ModelFolder, ownEncoder: T5Encoder? = nil, loader: WeightLoader) throws {
        let configuration = try folder.configuration(of: \.t5, "a T5 with a decoder")
        cacheFormat = loader.cacheFormat
        self.configuration = configuration
        self.ownEncoder = ownEncoder
        let layout = try T5Layout(configuration, in: loader)
        embedding = try loader.kept(layout.embedding)
        blocks = try layout.decoder.blocks.map { block in
            Block(
                selfAttention: try T5SelfAttention(
                    loader, block.selfAttention, configuration: configuration),
                crossAttention: try T5CrossAttention(
                    loader, block.crossAttention, configuration: configuration),
                feedForward: try T5FeedForward(
                    loader, block.feedForward, configuration: configuration),
                bias: try block.distanceBiases.map {
                    try RelativeBias(
                        loader, $0, configuration: configuration, isBidirectional: false)
                })
        }
        biases = blocks.map { block in
            block.bias.map { bias in
                let buffer = FloatBuffer(count: configuration.heads * Self.maximumResponse)
                bias.rows(
                    for: 1 - Self.maximumResponse...0,
                    into: buffer.rows(width: Self.maximumResponse))
                return buffer
            }
        }
        norm = try loader.vector(layout.decoder.norm)
        let last = try layout.head(in: loader.weights, packed: loader.packedTensors)
        // A head of the model's own may have fewer rows than the embedding.
        head = OutputHead(
            try loader.head(
                last.tensor.name, shape: [nil, configuration.modelWidth], scale: last.scale),
            startID: configuration.startID, endIDs: configuration.endIDs)
        try head.checkVocabulary(embedding, path: folder.path)
    }

    package var stateWidth: Int { configuration.modelWidth }
    package var maximumPositions: Int? { nil }

    package func stepCost(sourceTokens: Int, position: Int, head: OutputHead) -> StepCost {
        StepCost(
            matrices: blocks.flatMap {
                $0.selfAttention.matrices + $0.crossAttention.matrices + $0.feedForward.matrices
            } + [head.weights],
            layers: blocks.count, width: configuration.innerWidth,
            positions: sourceTokens + position + 1, cacheFormat: cacheFormat)
    }

    package func open(_ prompts: [OpenedPrompt], workspace: Workspace) -> [DecoderRow] {
        prompts.opened(
            encode: ownEncoder.map { encoder in
                { encoder.encode($0, documents: $1, workspace: workspace) }
            },
            cache: {
                KeyValueCache(
                    layers: blocks.count, heads: configuration.heads,
                    headWidth: configuration.headWidth, positions: $0, format: cacheFormat,
                    memory: workspace.caches)
            },
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
            embedding.gather(tokens, into: x)
            let positions = rows.map { $0.advance() }
            var bias = Rows(base: x.base, count: 0, width: 0, stride: 0)
            for (layer, block) in blocks.enumerated() {
                if let own = biases[layer] { bias = own.rows(width: Self.maximumResponse) }
                block.selfAttention.step(
                    x, rows: rows, positions: positions, layer: layer, bias: bias,
                    workspace: workspace)
                block.crossAttention.step(x, rows: rows, layer: layer, workspace: workspace)
                block.feedForward.apply(to: x, workspace: workspace)
            }
            Operators.rootMeanSquareNorm(
                x, weight: norm, epsilon: configuration.epsilon,
                into: hidden.rows(width: stateWidth).rows(0..<rows.count))
        }
    }
}

package extension [Int] {
    /// The ranges that parts of these lengths take when they lie behind each other.
    var consecutiveRanges: [Range<Int>] {
        var end = 0
        return map { length in
            defer { end += length }
            return end..<end + length
        }
    }
}
