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

    init(_ configuration: GPT2Configuration, vocabularyRows: Int, in layout: ParameterLayout) {
        let width = configuration.width
        let wide = configuration.feedForwardWidth
        func norm(_ name: String) -> Norm {
            Norm(
                layout.vector(name + ".weight", width),
                bias: layout.vector(name + ".bias", width),
                epsilon: configuration.epsilon)
        }
        func linear(_ name: String, _ inner: Int, _ columns: Int) -> Linear {
            Linear(
                layout.matrix(name + ".weight", inner, columns),
                bias: layout.vector(name + ".bias", columns), isTransposed: true)
        }
        tokens = Embedding(table: layout.matrix("wte.weight", vocabularyRows, width))
        positions = Embedding(
            table: layout.matrix("wpe.weight", configuration.positions, width))
        blocks = (0..<configuration.layers).map { index in
            let name = "h.\(index)."
            return Block(
                attention: SelfAttention(
                    residual: Residual(norm: norm(name + "ln_1")),
                    input: linear(name + "attn.c_attn", width, 3 * width),
                    output: linear(name + "attn.c_proj", width, width),
                    attention: Attention(
                        heads: configuration.heads, headWidth: configuration.headWidth,
                        scale: 1 / Float(configuration.headWidth).squareRoot(), isCausal: true)),
                feedForward: FeedForward(
                    residual: Residual(norm: norm(name + "ln_2")),
                    inner: linear(name + "mlp.c_fc", width, wide),
                    outer: linear(name + "mlp.c_proj", wide, width),
                    activation: .gelu, width: wide, dropsInner: false))
        }
        self.norm = norm("ln_f")
    }

    func apply(to x: Variable, documents: [Range<Int>], _ tape: Tape) {
        for block in blocks {
            block.attention.apply(to: x, documents: documents, bias: nil, tape)
            block.feedForward.apply(to: x, tape)
        }
    }
}
