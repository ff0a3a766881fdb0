internal import Checkpoints
internal import Inference

/// The encoder or the decoder of a T5.
struct T5Stack {
    private struct Block {
        let selfAttention: SelfAttention
        let crossAttention: CrossAttention?
        let feedForward: FeedForward
        /// Nil where the block shares the first one's.
        let bias: Weight?
    }

    private let blocks: [Block]
    private let norm: Norm
    private let buckets: RelativeBuckets

    init(decoderOf shape: T5Shape, in layout: ParameterLayout) {
        self.init("decoder", shape, layers: shape.configuration.decoderLayers, in: layout)
    }

    init(encoderOf shape: T5Shape, in layout: ParameterLayout) {
        self.init("encoder", shape, layers: shape.configuration.encoderLayers, in: layout)
    }

    private init(_ name: String, _ shape: T5Shape, layers: Int, in layout: ParameterLayout) {
        let configuration = shape.configuration
        let isDecoder = name == "decoder"
        let buckets = RelativeBuckets(configuration, isBidirectional: !isDecoder)
        blocks = (0..<layers).map { index in
            let layer = { (part: Int) in "\(name).block.\(index).layer.\(part)." }
            let parts = T5Parts(shape: shape, layout: layout)
            return Block(
                selfAttention: parts.selfAttention(layer(0), isCausal: isDecoder),
                crossAttention: isDecoder ? parts.crossAttention(layer(1)) : nil,
                feedForward: parts.feedForward(layer(isDecoder ? 2 : 1)),
                bias: index == 0 || configuration.hasBiasPerBlock
                    ? parts.bias(layer(0), buckets: buckets.count) : nil)
        }
        norm = Norm(
            layout.vector("\(name).final_layer_norm.weight", configuration.modelWidth),
            epsilon: configuration.epsilon)
        self.buckets = buckets
    }

    /// Takes input embeddings through all blocks and the final norm.
    ///
    /// - Parameter states: what a decoder attends to, with its documents.
    func apply(
        to x: Variable, documents: [Range<Int>],
        states: (variable: Variable, documents: [Range<Int>])? = nil, _ tape: Tape
    ) -> Variable {
        let longest = documents.map(\.count).max() ?? 0
        var bias: RelativeBiases?
        for block in blocks {
            if let table = block.bias {
                bias = RelativeBiases(table, buckets, longest: longest, tape)
            }
            block.selfAttention.apply(to: x, documents: documents, bias: bias, tape)
            if let states {
                block.crossAttention?.apply(
                    to: x, documents: documents, states: states.variable,
                    prompts: states.documents, tape)
            }
            block.feedForward.apply(to: x, tape)
        }
        return norm.apply(to: x, drops: true, tape)
    }
}

/// The layers of a T5 under their names.
private struct T5Parts {
    let shape: T5Shape
    let layout: ParameterLayout

    private var configuration: T5Configuration { shape.configuration }
    private var width: Int { configuration.modelWidth }
    private var inner: Int { configuration.innerWidth }

    private func residual(_ prefix: String) -> Residual {
        Residual(
            norm: Norm(
                layout.vector(prefix + "layer_norm.weight", width),
                epsilon: configuration.epsilon))
    }

    private func attention(isCausal: Bool = false) -> Attention {
        Attention(
            heads: configuration.heads, headWidth: configuration.headWidth, isCausal: isCausal)
    }

    func selfAttention(_ prefix: String, isCausal: Bool) -> SelfAttention {
        let name = prefix + "SelfAttention."
        return SelfAttention(
            residual: residual(prefix),
            input: Linear(
                layout.matrix(["q", "k", "v"].map { name + $0 + ".weight" }, inner, width)),
            output: Linear(layout.matrix(name + "o.weight", width, inner)),
            attention: attention(isCausal: isCausal))
    }

    func crossAttention(_ prefix: String) -> CrossAttention {
        let name = prefix + "EncDecAttention."
        return CrossAttention(
            residual: residual(prefix),
            query: Linear(layout.matrix(name + "q.weight", inner, width)),
            keyValue: Linear(
                layout.matrix(["k", "v"].map { name + $0 + ".weight" }, inner, width)),
            output: Linear(layout.matrix(name + "o.weight", width, inner)),
            attention: attention())
    }

    func feedForward(_ prefix: String) -> FeedForward {
        let name = prefix + "DenseReluDense."
        let wide = configuration.feedForwardWidth
        let names = shape.isGated ? ["wi_0", "wi_1"] : ["wi"]
        return FeedForward(
            residual: residual(prefix),
            inner: Linear(layout.matrix(names.map { name + $0 + ".weight" }, wide, width)),
            outer: Linear(layout.matrix(name + "wo.weight", width, wide)),
            activation: shape.isGated ? .gatedGelu : .relu, width: wide, dropsInner: true)
    }

    func bias(_ prefix: String, buckets: Int) -> Weight {
        layout.matrix(
            [prefix + "SelfAttention.relative_attention_bias.weight"], buckets,
            configuration.heads, decays: false)
    }
}
