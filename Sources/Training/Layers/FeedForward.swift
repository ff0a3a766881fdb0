internal import Inference

/// outer( f(inner x) ), f one of relu, gelu and gated gelu.
struct FeedForward {
    enum Activation { case relu, gelu, gatedGelu }

    let residual: Residual
    /// Gate and up projection below each other where it is gated.
    let inner: Linear
    let outer: Linear
    let activation: Activation
    /// Of the activation's output.
    let width: Int
    /// T5 drops inner activations, GPT-2 does not.
    let dropsInner: Bool

    func apply(to x: Stream, _ pass: Pass) {
        residual.apply(to: x, pass) { normed, output in
            let before = pass.rows(normed.count, inner.width)
            inner.forward(normed, into: before, pass)
            let (left, right) = halves(before)
            let active = activation == .relu ? before : pass.rows(normed.count, width)
            switch activation {
            case .relu: active.applyRelu()
            case .gelu, .gatedGelu: Gradients.gelu(left, up: right, into: active)
            }
            let place = pass.dropout.place()
            if dropsInner { pass.dropout.apply(to: active, place: place) }
            outer.forward(active, into: output, pass)
            return { gradient, dNormed in
                let dActive = pass.rows(normed.count, width)
                outer.backward(active, from: gradient, into: dActive, pass)
                if dropsInner { pass.dropout.apply(to: dActive, place: place) }
                var dBefore = dActive
                switch activation {
                case .relu: dActive.maskRelu(active)
                case .gelu: Gradients.geluBackward(left, from: dActive, into: dActive)
                case .gatedGelu:
                    dBefore = pass.rows(normed.count, inner.width)
                    let (dLeft, dRight) = halves(dBefore)
                    Gradients.geluBackward(
                        left, up: right, from: dActive, into: dLeft, up: dRight)
                }
                inner.backward(normed, from: dBefore, into: dNormed, pass)
            }
        }
    }

    private func halves(_ rows: Rows) -> (Rows, Rows?) {
        guard activation == .gatedGelu else { return (rows, nil) }
        return (rows.columns(0..<width), rows.columns(width..<2 * width))
    }
}
