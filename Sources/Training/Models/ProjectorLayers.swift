internal import Inference

/// Z = out(relu(in(H))) of the frozen LLM's states H, plus A · Emb_llm[x] + c where the tokenizers
/// differ.
struct ProjectorLayers {
    private let inner: Linear
    private let outer: Linear
    private let adapter: Linear?

    init(_ design: Design.Projection, width: Int, in layout: ParameterLayout) {
        func linear(_ name: String, _ rows: Int, _ columns: Int) -> Linear {
            Linear(
                layout.matrix(name + ".weight", rows, columns),
                bias: layout.vector(name + ".bias", rows))
        }
        inner = linear("projector.in", design.hiddenWidth, design.encoderWidth)
        outer = linear("projector.out", width, design.hiddenWidth)
        adapter =
            design.addend == .adapted
            ? linear("prompt_adapter", width, design.encoderWidth) : nil
    }

    /// - Parameter embeddings: those of the LLM, where there is an adapter.
    func apply(to states: Rows, embeddings: Rows?, _ tape: Tape) -> Variable {
        let hidden = tape.rows(states.count, inner.width)
        let result = tape.variable(states.count, outer.width)
        inner.forward(states, into: hidden, tape)
        hidden.applyRelu()
        outer.forward(hidden, into: result.value, tape)
        if let adapter, let embeddings {
            adapter.forward(embeddings, into: result.value, accumulate: true, tape)
            tape.onBackward {
                adapter.backward(embeddings, from: result.gradient, into: nil, tape)
            }
        }
        tape.onBackward {
            let dHidden = tape.rows(states.count, inner.width)
            outer.backward(hidden, from: result.gradient, into: dHidden, tape)
            dHidden.maskRelu(hidden)
            inner.backward(states, from: dHidden, into: nil, tape)
        }
        return result
    }
}
