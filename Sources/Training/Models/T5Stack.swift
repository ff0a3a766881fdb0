internal import Checkpoints
internal import Inference

/// The encoder or the decoder of a T5.
struct T5Stack {
    private struct Block {
        let selfAttention: SelfAttention
        let crossAttention: CrossAttention?
        let feedForward: FeedForward
        /// Nil where the block uses those of the first block.
        let bias: Weight?
    }

    private let blocks: [Block]
    private let norm: Norm
    private let buckets: RelativeBuckets

    /// - Parameter isDecoder: which half `stack` is.
    init(
        _ stack: T5Layout.Stack, _ configuration: T5Configuration, isDecoder: Bool,
        in layout: ParameterLayout
    ) {
        let parts = T5Parts(configuration: configuration, layout: layout)
        blocks = stack.blocks.map { block in
            Block(
                selfAttention: parts.selfAttention(block.selfAttention, isCausal: isDecoder),
                crossAttention: isDecoder ? parts.crossAttention(block.crossAttention) : nil,
                feedForward: parts.feedForward(block.feedForward),
                bias: block.distanceBiases.map { layout.matrix($0) })
        }
        norm = Norm(layout.vector(stack.norm), epsilon: configuration.epsilon)
        buckets = RelativeBuckets(configuration, isBidirectional: !isDecoder)
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

/// The layers of a T5.
private struct T5Parts {
    let configuration: T5Configuration
    let layout: ParameterLayout

    private func residual(_ norm: LayoutTensor) -> Residual {
        Residual(norm: Norm(layout.vector(norm), epsilon: configuration.epsilon))
    }

    private func attention(isCausal: Bool = false) -> Attention {
        Attention(
            heads: configuration.heads, headWidth: configuration.headWidth, isCausal: isCausal)
    }

    func selfAttention(_ own: T5Layout.Attention, isCausal: Bool) -> SelfAttention {
        SelfAttention(
            residual: residual(own.norm),
            input: Linear(layout.matrix(own.query, own.key, own.value)),
            output: Linear(layout.matrix(own.output)), attention: attention(isCausal: isCausal))
    }

    func crossAttention(_ own: T5Layout.Attention) -> CrossAttention {
        CrossAttention(
            residual: residual(own.norm), query: Linear(layout.matrix(own.query)),
            keyValue: Linear(layout.matrix(own.key, own.value)),
            output: Linear(layout.matrix(own.output)), attention: attention())
    }

    func feedForward(_ own: T5Layout.FeedForward) -> FeedForward {
        FeedForward(
            residual: residual(own.norm), inner: Linear(layout.matrix(own.inner)),
            outer: Linear(layout.matrix(own.outer)),
            activation: own.inner.count == 2 ? .gatedGelu : .relu,
            width: configuration.feedForwardWidth, dropsInner: true)
    }
}
