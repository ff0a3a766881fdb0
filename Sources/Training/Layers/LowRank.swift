internal import Inference

/// y += scale · B · A · x: a low-rank adapter of one matrix (Hu et al. 2021, arXiv 2106.09685), or
/// of several matrices that lie below each other for one product.
struct LowRank {
    /// The adapter of one of the matrices.
    struct Part {
        /// The matrix's columns of y.
        let columns: Range<Int>
        /// B, [columns, rank].
        let up: Weight
    }

    /// A of all parts below each other, [parts · rank, inner].
    let down: Weight
    let parts: [Part]
    let scale: Float

    private var rank: Int { down.rows / parts.count }

    func forward(_ x: Rows, addingTo y: Rows, _ tape: Tape) {
        tape.workspace.scope {
            let inner = reduced(x, tape)
            for (index, part) in parts.enumerated() {
                tape.multiply(
                    inner.columns(columns(index)), .plain, tape.value(part.up), .transposed,
                    into: y.columns(part.columns), scale: scale, accumulate: true)
            }
        }
    }

    func backward(_ x: Rows, from dy: Rows, addingTo dx: Rows?, _ tape: Tape) {
        tape.workspace.scope {
            let inner = reduced(x, tape)
            let dInner = tape.rows(x.count, down.rows)
            for (index, part) in parts.enumerated() {
                let gradient = dy.columns(part.columns)
                tape.multiply(
                    gradient, .plain, tape.value(part.up), .plain,
                    into: dInner.columns(columns(index)), scale: scale)
                tape.multiply(
                    gradient, .transposed, inner.columns(columns(index)), .plain,
                    into: tape.gradient(part.up), scale: scale, accumulate: true)
            }
            tape.multiply(
                dInner, .transposed, x, .plain, into: tape.gradient(down), accumulate: true)
            if let dx {
                tape.multiply(dInner, .plain, tape.value(down), .plain, into: dx, accumulate: true)
            }
        }
    }

    /// A · x
    private func reduced(_ x: Rows, _ tape: Tape) -> Rows {
        let inner = tape.rows(x.count, down.rows)
        tape.multiply(x, .plain, tape.value(down), .transposed, into: inner)
        return inner
    }

    private func columns(_ part: Int) -> Range<Int> { part * rank..<(part + 1) * rank }
}
