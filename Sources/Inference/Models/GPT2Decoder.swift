internal import Checkpoints

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

    /// - Throws: `CheckpointError` for a missing tensor or a wrong shape.
    init(_ folder: ModelFolder, loader: WeightLoader) throws {
        let configuration = try folder.configuration(of: \.gpt2, "a GPT-2")
        cacheFormat = loader.cacheFormat
        self.configuration = configuration
        let layout = try GPT2Layout(configuration, in: loader.weights)
        func norm(_ layer: GPT2Layout.Layer) throws -> (weight: WeightVector, bias: WeightVector) {
            (try loader.vector(layer.weight), try loader.vector(layer.bias))
        }
        func linear(
            _ layer: GPT2Layout.Layer
        ) throws -> (weight: PackedMatrix, bias: WeightVector) {
            (try loader.transposed(layer.weight), try loader.vector(layer.bias))
        }
        embedding = try loader.kept(layout.tokens)
        positions = try loader.kept(layout.positions)
        blocks = try layout.blocks.map { block in
            Block(
                firstNorm: try norm(block.firstNorm), secondNorm: try norm(block.secondNorm),
                attentionInput: try linear(block.attentionInput),
                attentionOutput: try linear(block.attentionOutput),
                inner: try linear(block.inner), outer: try linear(block.outer))
        }
        self.norm = try norm(layout.norm)
        head = OutputHead(
            try loader.head(layout.tokens.name, shape: layout.tokens.shape),
            startID: configuration.beginID,
            endIDs: configuration.endIDs)
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

    /// Takes each row's next input through all blocks, in place. To read a prefix, one row occurs
    /// several times.
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
