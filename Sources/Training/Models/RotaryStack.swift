internal import Checkpoints
internal import Inference

/// The blocks of a decoder-only model with rotary positions, with its token vectors, final norm and
/// head. It may have only some of the model's blocks, with an adapter of their own.
struct RotaryStack {
    private struct Block {
        /// Its number in the whole model.
        let index: Int
        let rotation: Rotation
        var attention: RotaryAttention
        var feedForward: FeedForward
    }

    let tokens: Embedding
    let head: Weight
    let norm: Norm
    private var blocks: [Block]
    private let configuration: RotaryConfiguration

    /// The whole model; its matrices lie among the base weights where an adapter is trained.
    init(_ shape: RotaryShape, in layout: ParameterLayout) {
        let configuration = shape.configuration
        self.configuration = configuration
        layout.placesInBase = shape.adapter != nil
        defer { layout.placesInBase = false }
        let parts = RotaryParts(configuration: configuration, layout: layout)
        tokens = Embedding(
            table: layout.matrix(
                RotaryNames.embedding, shape.vocabularyRows, configuration.width))
        blocks = configuration.layers.enumerated().map { index, layer in
            let name = RotaryNames.layer(index)
            return Block(
                index: index, rotation: layer.rotation, attention: parts.attention(name),
                feedForward: parts.feedForward(name))
        }
        norm = parts.norm(RotaryNames.norm)
        head =
            shape.hasOwnHead
            ? layout.matrix(RotaryNames.head, shape.vocabularyRows, configuration.width)
            : tokens.table
    }

    /// The same stack, but the blocks of `layers` are as in the model's own file, without the
    /// adapter that the model reads with.
    func unadapted(_ layers: [Int], in layout: ParameterLayout) -> RotaryStack {
        layout.placesInBase = true
        defer { layout.placesInBase = false }
        let parts = RotaryParts(configuration: configuration, layout: layout)
        var stack = self
        for index in layers {
            let name = RotaryNames.unadapted + RotaryNames.layer(index)
            stack.blocks[index].attention = parts.attention(name)
            stack.blocks[index].feedForward = parts.feedForward(name)
        }
        return stack
    }

    /// The same blocks, or those of `layers` alone, with adapters that are trained.
    func adapted(
        by adapter: AdapterShape, layers: [Int]? = nil, in layout: ParameterLayout
    ) -> RotaryStack {
        let parts = RotaryParts(configuration: configuration, layout: layout)
        var stack = self
        stack.blocks = (layers ?? Array(blocks.indices)).map { index in
            var block = blocks[index]
            parts.adapt(&block.attention, RotaryNames.layer(block.index), adapter)
            parts.adapt(&block.feedForward, RotaryNames.layer(block.index), adapter)
            return block
        }
        return stack
    }

    /// The numbers of its blocks in the whole model.
    var layers: [Int] { blocks.map(\.index) }

    /// Keys and values of prompts, by the number of the layer.
    struct Memory {
        fileprivate var layers: [Int: RotaryAttention.Memory] = [:]
        let documents: [Range<Int>]
    }

    /// Takes token vectors through all blocks, without the final norm.
    ///
    /// - Parameter memory: what was read before the documents.
    func apply(
        to x: Variable, documents: [Range<Int>], after memory: Memory? = nil, _ tape: Tape
    ) {
        let angles = angles(documents, after: memory?.documents, tape)
        for block in blocks {
            // Without a backward pass, nothing but x is needed after a block.
            inScope(!tape.isTraining, tape) {
                block.attention.apply(
                    to: x, documents: documents, angles: angles[block.rotation]!,
                    memory: memory?.layers[block.index], tape)
                block.feedForward.apply(to: x, tape)
            }
        }
    }

    /// Returns the keys and values that the blocks of `layers` make of documents. No gradient
    /// passes through them. Later blocks do not run, and the token vectors `x` are overwritten.
    func read(
        _ x: Variable, documents: [Range<Int>], keeping layers: [Int], _ tape: Tape
    ) -> Memory {
        let memory = memory(of: documents, rows: x.value.count, keeping: layers, tape)
        run(
            blocks.prefix((layers.max() ?? -1) + 1), on: x, documents: documents, into: memory, tape
        )
        return memory
    }

    /// Returns the keys and values that the blocks of `layers` make of each document's prompt. All
    /// blocks run, and the token vectors `x` become their states, without the final norm.
    func readThrough(
        _ x: Variable, documents: [Range<Int>], remembering prompts: [Range<Int>],
        keeping layers: [Int], _ tape: Tape
    ) -> Memory {
        let memory = memory(of: prompts, rows: x.value.count, keeping: layers, tape)
        run(blocks[...], on: x, documents: documents, into: memory, tape)
        return memory
    }

    private func memory(
        of documents: [Range<Int>], rows: Int, keeping layers: [Int], _ tape: Tape
    ) -> Memory {
        var memory = Memory(documents: documents)
        let width = configuration.keyValueWidth
        for layer in layers {
            memory.layers[layer] = RotaryAttention.Memory(
                keys: tape.rows(rows, width), values: tape.rows(rows, width),
                documents: documents)
        }
        return memory
    }

    private func run(
        _ blocks: ArraySlice<Block>, on x: Variable, documents: [Range<Int>], into memory: Memory,
        _ tape: Tape
    ) {
        let silent = tape.silent
        let angles = angles(documents, after: nil, tape)
        for block in blocks {
            tape.workspace.scope {
                block.attention.apply(
                    to: x, documents: documents, angles: angles[block.rotation]!,
                    keeping: memory.layers[block.index], silent)
                block.feedForward.apply(to: x, silent)
            }
        }
    }

    private func angles(
        _ documents: [Range<Int>], after prompts: [Range<Int>]?, _ tape: Tape
    ) -> [Rotation: RotaryAngles] {
        let positions = documents.enumerated().flatMap { index, document in
            let first = prompts?[index].count ?? 0
            return Array(first..<first + document.count)
        }
        let pairs = Set(blocks.map(\.rotation)).map { rotation in
            (
                rotation,
                RotaryAngles(
                    rotation, headWidth: configuration.headWidth, positions: positions, tape)
            )
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    private func inScope(_ isScoped: Bool, _ tape: Tape, _ body: () -> Void) {
        if isScoped { tape.workspace.scope(body) } else { body() }
    }
}

/// Makes layers from the names of their tensors.
private struct RotaryParts {
    let configuration: RotaryConfiguration
    let layout: ParameterLayout

    private var width: Int { configuration.width }

    func norm(_ name: String) -> Norm {
        Norm(layout.vector(name, width), epsilon: configuration.epsilon)
    }

    func attention(_ prefix: String) -> RotaryAttention {
        let own = prefix + "self_attn."
        let rows = [
            configuration.queryWidth, configuration.keyValueWidth, configuration.keyValueWidth,
        ]
        let names = RotaryNames.attention.map { own + $0 + ".weight" }
        return RotaryAttention(
            residual: Residual(norm: norm(prefix + "input_layernorm.weight")),
            input: Linear(layout.stack(zip(names, rows).map { (name: $0, rows: $1) }, width)),
            output: Linear(
                layout.matrix(own + "o_proj.weight", width, configuration.queryWidth)),
            attention: Attention(
                heads: configuration.heads, headWidth: configuration.headWidth,
                scale: configuration.attentionScale, isCausal: true,
                group: configuration.group))
    }

    func feedForward(_ prefix: String) -> FeedForward {
        let own = prefix + "mlp."
        let wide = configuration.feedForwardWidth
        return FeedForward(
            residual: Residual(norm: norm(prefix + "post_attention_layernorm.weight")),
            inner: Linear(
                layout.matrix(["gate_proj", "up_proj"].map { own + $0 + ".weight" }, wide, width)),
            outer: Linear(layout.matrix(own + "down_proj.weight", width, wide)),
            activation: configuration.activation == .silu ? .gatedSilu : .gatedGelu,
            width: wide, dropsInner: false)
    }

    func adapt(_ layer: inout RotaryAttention, _ prefix: String, _ adapter: AdapterShape) {
        let own = prefix + "self_attn."
        let (queries, keys) = (configuration.queryWidth, configuration.keyValueWidth)
        let matrices = zip(RotaryNames.attention, [queries, keys, keys]).map {
            (name: $0, rows: $1)
        }
        layer = RotaryAttention(
            residual: layer.residual,
            input: layer.input.with(
                delta(
                    own, matrices, width, adapter)
            ),
            output: layer.output.with(delta(own, [("o_proj", width)], queries, adapter)),
            attention: layer.attention)
    }

    func adapt(_ layer: inout FeedForward, _ prefix: String, _ adapter: AdapterShape) {
        let own = prefix + "mlp."
        let wide = configuration.feedForwardWidth
        layer = FeedForward(
            residual: layer.residual,
            inner: layer.inner.with(
                delta(own, [("gate_proj", wide), ("up_proj", wide)], width, adapter)),
            outer: layer.outer.with(delta(own, [("down_proj", width)], wide, adapter)),
            activation: layer.activation, width: layer.width, dropsInner: layer.dropsInner)
    }

    /// The adapter's deltas of these matrices, which lie below each other; nil where it changes
    /// none of them.
    private func delta(
        _ prefix: String, _ matrices: [(name: String, rows: Int)], _ inner: Int,
        _ adapter: AdapterShape
    ) -> LowRank? {
        let ranges = matrices.map(\.rows).consecutiveRanges
        let chosen = zip(matrices, ranges).filter { adapter.targets.contains($0.0.name) }
        guard !chosen.isEmpty else { return nil }
        let down = layout.matrix(
            chosen.map { RotaryNames.down(prefix + $0.0.name) }, adapter.rank, inner)
        return LowRank(
            down: down,
            parts: chosen.map { matrix, columns in
                LowRank.Part(
                    columns: columns,
                    up: layout.matrix(
                        RotaryNames.up(prefix + matrix.name), matrix.rows, adapter.rank))
            }, scale: adapter.scale)
    }
}
