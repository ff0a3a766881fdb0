internal import Inference

/// Tokens attend to those of their own document.
struct SelfAttention {
    let residual: Residual
    /// q, k and v below each other.
    let input: Linear
    let output: Linear
    let attention: Attention

    func apply(to x: Variable, documents: [Range<Int>], bias: RelativeBiases?, _ tape: Tape) {
        residual.apply(to: x, tape) { normed, result in
            let width = attention.heads * attention.headWidth
            let projected = tape.rows(normed.count, 3 * width)
            let mixed = tape.rows(normed.count, width)
            input.forward(normed, into: projected, tape)
            let operands = Attention.Operands(projected, width: width)
            let own = Attention.Documents(queries: documents, keys: documents)
            let saved = attention.forward(operands, own, bias: bias, into: mixed, tape)
            output.forward(mixed, into: result, tape)
            return { gradient, dNormed in
                let dMixed = tape.rows(normed.count, width)
                let dProjected = tape.rows(normed.count, 3 * width)
                output.backward(mixed, from: gradient, into: dMixed, tape)
                attention.backward(
                    operands, own, saved, bias: bias, from: dMixed,
                    into: Attention.Operands(dProjected, width: width), tape)
                input.backward(normed, from: dProjected, into: dNormed, tape)
            }
        }
    }
}

/// Tokens of a response attend to the states of its prompt.
struct CrossAttention {
    let residual: Residual
    let query: Linear
    /// k and v below each other.
    let keyValue: Linear
    let output: Linear
    let attention: Attention

    func apply(
        to x: Variable, documents: [Range<Int>], states: Variable, prompts: [Range<Int>],
        _ tape: Tape
    ) {
        residual.apply(to: x, tape) { normed, result in
            let width = attention.heads * attention.headWidth
            let queries = tape.rows(normed.count, width)
            let mixed = tape.rows(normed.count, width)
            let projected = tape.rows(states.value.count, 2 * width)
            query.forward(normed, into: queries, tape)
            keyValue.forward(states.value, into: projected, tape)
            let operands = Attention.Operands(queries: queries, projected, width: width)
            let pairs = Attention.Documents(queries: documents, keys: prompts)
            let saved = attention.forward(operands, pairs, bias: nil, into: mixed, tape)
            output.forward(mixed, into: result, tape)
            return { gradient, dNormed in
                let dMixed = tape.rows(normed.count, width)
                let dQueries = tape.rows(normed.count, width)
                let dProjected = tape.rows(states.value.count, 2 * width)
                output.backward(mixed, from: gradient, into: dMixed, tape)
                attention.backward(
                    operands, pairs, saved, bias: nil, from: dMixed,
                    into: Attention.Operands(queries: dQueries, dProjected, width: width), tape)
                query.backward(normed, from: dQueries, into: dNormed, tape)
                keyValue.backward(
                    states.value, from: dProjected, into: states.gradient, accumulate: true, tape)
            }
        }
    }
}

extension Attention.Operands {
    /// Columns of q, k and v side by side.
    init(_ projected: Rows, width: Int) {
        self.init(
            queries: projected.columns(0..<width), keys: projected.columns(width..<2 * width),
            values: projected.columns(2 * width..<3 * width))
    }

    init(queries: Rows, _ projected: Rows, width: Int) {
        self.init(
            queries: queries, keys: projected.columns(0..<width),
            values: projected.columns(width..<2 * width))
    }
}
