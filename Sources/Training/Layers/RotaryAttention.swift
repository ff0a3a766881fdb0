internal import Inference

/// Tokens attend to the tokens of their document up to themselves, with rotary positions; heads of
/// queries may share a head of keys and values.
struct RotaryAttention {
    let residual: Residual
    /// q, k and v below each other.
    let input: Linear
    let output: Linear
    let attention: Attention

    /// Rotated keys and values of prompts that were read before, and each document's rows.
    struct Memory {
        let keys: Rows
        let values: Rows
        let documents: [Range<Int>]
    }

    private var queryWidth: Int { attention.heads * attention.headWidth }
    private var keyWidth: Int { queryWidth / attention.group }

    /// - Parameters:
    ///   - memory: what stands before each document; it gets no gradient.
    ///   - kept: receives the rotated keys and the values of x.
    func apply(
        to x: Variable, documents: [Range<Int>], angles: RotaryAngles, memory: Memory? = nil,
        keeping kept: Memory? = nil, _ tape: Tape
    ) {
        residual.apply(to: x, tape) { normed, result in
            let projected = tape.rows(normed.count, queryWidth + 2 * keyWidth)
            input.forward(normed, into: projected, tape)
            let own = parts(of: projected)
            angles.turn(own.queries)
            angles.turn(own.keys)
            kept?.keys.copy(from: own.keys)
            kept?.values.copy(from: own.values)
            let mixed = tape.rows(normed.count, queryWidth)
            let joined = memory.map { join(own, documents, $0, tape) }
            let operands = joined?.operands ?? own
            let pairs = Attention.Documents(
                queries: documents, keys: joined?.documents ?? documents)
            let saved = attention.forward(operands, pairs, bias: nil, into: mixed, tape)
            output.forward(mixed, into: result, tape)
            return { gradient, dNormed in
                let dMixed = tape.rows(normed.count, queryWidth)
                let dProjected = tape.rows(normed.count, queryWidth + 2 * keyWidth)
                let dOwn = parts(of: dProjected)
                output.backward(mixed, from: gradient, into: dMixed, tape)
                var dOperands = dOwn
                if joined != nil {
                    dOperands = Attention.Operands(
                        queries: dOwn.queries, keys: tape.rows(operands.keys.count, keyWidth),
                        values: tape.rows(operands.keys.count, keyWidth))
                }
                attention.backward(
                    operands, pairs, saved, bias: nil, from: dMixed, into: dOperands, tape)
                if joined != nil {
                    for (document, all) in zip(documents, pairs.keys) {
                        let rows = all.suffix(document.count)
                        dOwn.keys.rows(document).copy(from: dOperands.keys.rows(rows))
                        dOwn.values.rows(document).copy(from: dOperands.values.rows(rows))
                    }
                }
                angles.turn(dOwn.queries, isBack: true)
                angles.turn(dOwn.keys, isBack: true)
                input.backward(normed, from: dProjected, into: dNormed, tape)
            }
        }
    }

    /// Puts each document's keys and values behind those of its prompt.
    private func join(
        _ own: Attention.Operands, _ documents: [Range<Int>], _ memory: Memory, _ tape: Tape
    ) -> (operands: Attention.Operands, documents: [Range<Int>]) {
        let all = zip(memory.documents, documents).map { $0.count + $1.count }.consecutiveRanges
        let count = all.last?.upperBound ?? 0
        let (keys, values) = (tape.rows(count, keyWidth), tape.rows(count, keyWidth))
        for (rows, (prompt, document)) in zip(all, zip(memory.documents, documents)) {
            let (before, after) = (rows.prefix(prompt.count), rows.suffix(document.count))
            keys.rows(before).copy(from: memory.keys.rows(prompt))
            values.rows(before).copy(from: memory.values.rows(prompt))
            keys.rows(after).copy(from: own.keys.rows(document))
            values.rows(after).copy(from: own.values.rows(document))
        }
        return (
            Attention.Operands(queries: own.queries, keys: keys, values: values), all
        )
    }

    private func parts(of projected: Rows) -> Attention.Operands {
        let (queries, keys) = (queryWidth, queryWidth + keyWidth)
        return Attention.Operands(
            queries: projected.columns(0..<queries), keys: projected.columns(queries..<keys),
            values: projected.columns(keys..<keys + keyWidth))
    }
}
