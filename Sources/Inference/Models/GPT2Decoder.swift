package import Checkpoints

/// GPT-2 as the decoder: the prompt's states are the prefix of its sequence.
package final class GPT2Decoder: DecoderModel {
    private struct Block: Sendable {
        let firstNorm: (weight: WeightVector, bias: WeightVector)
        let secondNorm: (weight: WeightVector, bias: WeightVector)
        /// q, k and v side by side.
        let attentionInput: (weight: PackedMatrix, bias: WeightVector)
        let attentionOutput: (weight: PackedMatrix, bias: WeightVector)
        let inner: (weight: PackedMatrix, bias: WeightVector)
        let outer: (weight: PackedMatrix, bias: WeightVector)
    }

    private let configuration: GPT2Configuration
    private let embedding: EmbeddingTable
    private let positions: EmbeddingTable
    private let blocks: [Block]
    private let norm: (weight: WeightVector, bias: WeightVector)
    package let head: OutputHead
    private let cacheFormat: WeightFormat

    package convenience init(_ folder: ModelFolder, format: WeightFormat = .float32) throws {
        try self.init(folder, loader: WeightLoader(folder, format: format))
    }

    init(_ folder: ModelFolder, loader: WeightLoader) throws {
        guard case .gpt2(let configuration) = folder.configuration else {
            throw InferenceError.wrongModel(
                path: folder.path, expected: "a GPT-2", found: folder.configuration.name)
        }
        cacheFormat = loader.format
        self.configuration = configuration
        let width = configuration.width
        let wide = configuration.feedForwardWidth
        let prefix = folder.weights.gpt2Prefix
        func norm(_ name: String) throws -> (weight: WeightVector, bias: WeightVector) {
            (
                try loader.vector(prefix + name + ".weight", count: width),
                try loader.vector(prefix + name + ".bias", count: width)
            )
        }
        // Stored [in, out], unlike every other model here.
        func linear(
            _ name: String, _ inner: Int, _ columns: Int
        ) throws -> (weight: PackedMatrix, bias: WeightVector) {
            (
                try loader.transposed(prefix + name + ".weight", shape: [inner, columns]),
                try loader.vector(prefix + name + ".bias", count: columns)
            )
        }
        embedding = EmbeddingTable(loader.kept(try Self.tokenTable(folder)))
        positions = EmbeddingTable(
            loader.kept(
                try folder.weights.tensor(
                    prefix + "wpe.weight", shape: [configuration.positions, width])))
        blocks = try (0..<configuration.layers).map { index in
            let block = "h.\(index)."
            return Block(
                firstNorm: try norm(block + "ln_1"), secondNorm: try norm(block + "ln_2"),
                attentionInput: try linear(block + "attn.c_attn", width, 3 * width),
                attentionOutput: try linear(block + "attn.c_proj", width, width),
                inner: try linear(block + "mlp.c_fc", width, wide),
                outer: try linear(block + "mlp.c_proj", wide, width))
        }
        self.norm = try norm("ln_f")
        head = OutputHead(
            try loader.matrix([prefix + "wte.weight"], shape: [nil, width]),
            startID: configuration.beginID, endIDs: configuration.endIDs)
        try head.checkVocabulary(embedding, path: folder.path)
    }

    package var stateWidth: Int { configuration.width }
    package var maximumPositions: Int? { configuration.positions }

    package func stepCost(sourceTokens: Int, position: Int, head: OutputHead) -> StepCost {
        StepCost(
            matrices: blocks.flatMap {
                [
                    $0.attentionInput.weight, $0.attentionOutput.weight, $0.inner.weight,
                    $0.outer.weight,
                ]
            } + [head.weights],
            layers: blocks.count, width: stateWidth, positions: sourceTokens + position + 1,
            cacheFormat: cacheFormat)
    }

    package func open(_ prompts: [OpenedPrompt], workspace: Workspace) -> [DecoderRow] {
        prompts.map { prompt in
            let count = prompt.states.tokens
            let states = prompt.states.rows
            let row = DecoderRow(
                cache: KeyValueCache(
                    layers: blocks.count, heads: configuration.heads,
                    headWidth: configuration.headWidth,
                    positions: count + prompt.maximumNewTokens, format: cacheFormat,
                    memory: workspace.caches),
                source: nil, position: 0, firstInput: nil)
            // The last row is the input of the first step, which gives the first token.
            workspace.scope {
                let x = workspace.rows(count - 1, stateWidth)
                x.copy(from: states.rows(0..<count - 1))
                forward(
                    x, rows: [DecoderRow](repeating: row, count: count - 1), workspace: workspace)
            }
            let last = FloatBuffer(count: stateWidth)
            last.rows(width: stateWidth).copy(from: states.rows(count - 1..<count))
            row.firstInput = last
            return row
        }
    }

    package func step(
        _ rows: [DecoderRow], tokens: [Int32], into hidden: FloatBuffer, workspace: Workspace
    ) {
        workspace.scope {
            let x = workspace.rows(rows.count, stateWidth)
            embedding.gather(tokens, into: x)
            x.takeFirstInputs(of: rows)
            forward(x, rows: rows, workspace: workspace)
            Operators.layerNorm(
                x, weight: norm.weight, bias: norm.bias, epsilon: configuration.epsilon,
                into: hidden.rows(width: stateWidth).rows(0..<rows.count))
        }
    }

    /// Takes each row's next input through all blocks, in place. A prefix is read as many inputs
    /// of one row.
    private func forward(_ x: Rows, rows: [DecoderRow], workspace: Workspace) {
        workspace.scope {
            let width = stateWidth
            let scale = 1 / Float(configuration.headWidth).squareRoot()
            let lengths = rows.map { $0.advance() + 1 }
            let place = workspace.rows(1, width)
            for (index, length) in lengths.enumerated() {
                positions.gather([Int32(length - 1)], into: place)
                x.rows(index..<index + 1).add(place)
            }
            let normed = workspace.rows(x.count, width)
            let projected = workspace.rows(x.count, 3 * width)
            let mixed = workspace.rows(x.count, width)
            let hidden = workspace.rows(x.count, configuration.feedForwardWidth)
            for (layer, block) in blocks.enumerated() {
                Operators.layerNorm(
                    x, weight: block.firstNorm.weight, bias: block.firstNorm.bias,
                    epsilon: configuration.epsilon, into: normed)
                Operators.multiply(
                    normed, block.attentionInput.weight, into: projected,
                    bias: block.attentionInput.bias, workspace: workspace)
                for (index, row) in rows.enumerated() {
                    row.cache.set(
                        lengths[index] - 1, layer: layer, key: projected[index] + width,
                        value: projected[index] + 2 * width)
                }
                for (index, row) in rows.enumerated() {
                    let own = index..<index + 1
                    Operators.attend(
                        query: projected.columns(0..<width).rows(own), cache: row.cache,
                        layer: layer, length: lengths[index], scale: scale, bias: nil,
                        biasStride: 0, into: mixed.rows(own), workspace: workspace)
                }
                Operators.multiply(
                    mixed, block.attentionOutput.weight, into: x, accumulate: true,
                    bias: block.attentionOutput.bias, workspace: workspace)
                Operators.layerNorm(
                    x, weight: block.secondNorm.weight, bias: block.secondNorm.bias,
                    epsilon: configuration.epsilon, into: normed)
                Operators.multiply(
                    normed, block.inner.weight, into: hidden, bias: block.inner.bias,
                    activation: .gelu, workspace: workspace)
                Operators.multiply(
                    hidden, block.outer.weight, into: x, accumulate: true, bias: block.outer.bias,
                    workspace: workspace)
            }
        }
    }
}

extension GPT2Decoder {
    static func embedding(_ folder: ModelFolder) throws -> EmbeddingTable {
        EmbeddingTable(try tokenTable(folder))
    }

    private static func tokenTable(_ folder: ModelFolder) throws -> StoredTensor {
        try folder.weights.tensor(
            folder.weights.gpt2Prefix + "wte.weight", shape: [nil, folder.configuration.width])
    }
}

extension WeightFile {
    /// Names come with and without it.
    package var gpt2Prefix: String {
        contains("transformer.wte.weight") ? "transformer." : ""
    }
}
