internal import Checkpoints
internal import Inference

/// The blocks of a GPT-2 and its tables.
struct GPT2Stack {
    private struct Block {
        let attention: SelfAttention
        let feedForward: FeedForward
    }

    let tokens: Embedding
    let positions: Embedding
    let norm: Norm
    private let blocks: [Block]

    init(_ own: GPT2Layout, in layout: ParameterLayout) {
        let configuration = own.configuration
        func norm(_ layer: GPT2Layout.Layer) -> Norm {
            Norm(
                layout.vector(layer.weight), bias: layout.vector(layer.bias),
                epsilon: configuration.epsilon)
        }
        func linear(_ layer: GPT2Layout.Layer) -> Linear {
            Linear(
                layout.matrix(layer.weight), bias: layout.vector(layer.bias), isTransposed: true)
        }
        tokens = Embedding(table: layout.matrix(own.tokens))
        positions = Embedding(table: layout.matrix(own.positions))
        blocks = own.blocks.map { block in
            Block(
                attention: SelfAttention(
                    residual: Residual(norm: norm(block.firstNorm)),
                    input: linear(block.attentionInput), output: linear(block.attentionOutput),
                    attention: Attention(
                        heads: configuration.heads, headWidth: configuration.headWidth,
                        scale: 1 / Float(configuration.headWidth).squareRoot(), isCausal: true)),
                feedForward: FeedForward(
                    residual: Residual(norm: norm(block.secondNorm)), inner: linear(block.inner),
                    outer: linear(block.outer), activation: .gelu,
                    width: configuration.feedForwardWidth, dropsInner: false))
        }
        self.norm = norm(own.norm)
    }

    func apply(to x: Variable, documents: [Range<Int>], _ tape: Tape) {
        for block in blocks {
            block.attention.apply(to: x, documents: documents, bias: nil, tape)
            block.feedForward.apply(to: x, tape)
        }
    }
}
