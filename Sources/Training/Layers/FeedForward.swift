internal import Inference

/// outer( f(inner x) ), f one of relu, gelu, gated gelu and gated silu.
struct FeedForward {
    enum Activation {
        case relu, gelu, gatedGelu, gatedSilu

        var isGated: Bool { self == .gatedGelu || self == .gatedSilu }
    }

    let residual: Residual
    /// Gate and up projection below each other where it is gated.
    let inner: Linear
    let outer: Linear
    let activation: Activation
    /// Width of the activation's output.
    let width: Int
    /// T5 drops inner activations, GPT-2 does not.
    let dropsInner: Bool

    func apply(to x: Variable, _ tape: Tape) {
        residual.apply(to: x, tape) { normed, output in
            let before = tape.rows(normed.count, inner.width)
            inner.forward(normed, into: before, tape)
            let (left, right) = halves(before)
            let active = activation == .relu ? before : tape.rows(normed.count, width)
            switch activation {
            case .relu: active.applyRelu()
            case .gelu, .gatedGelu: Gradients.gelu(left, up: right, into: active)
            case .gatedSilu: Gradients.gatedSilu(left, up: right ?? left, into: active)
            }
            let place = tape.dropout.place()
            if dropsInner { tape.dropout.apply(to: active, place: place) }
            outer.forward(active, into: output, tape)
            return { gradient, dNormed in
                let dActive = tape.rows(normed.count, width)
                outer.backward(active, from: gradient, into: dActive, tape)
                if dropsInner { tape.dropout.apply(to: dActive, place: place) }
                var dBefore = dActive
                switch activation {
                case .relu: dActive.maskRelu(active)
                case .gelu: Gradients.geluBackward(left, from: dActive, into: dActive)
                case .gatedGelu:
                    dBefore = tape.rows(normed.count, inner.width)
                    let (dLeft, dRight) = halves(dBefore)
                    Gradients.geluBackward(
                        left, up: right, from: dActive, into: dLeft, up: dRight)
                case .gatedSilu:
                    dBefore = tape.rows(normed.count, inner.width)
                    let (dLeft, dRight) = halves(dBefore)
                    Gradients.gatedSiluBackward(
                        left, up: right ?? left, from: dActive, into: dLeft,
                        up: dRight ?? dLeft)
                }
                inner.backward(normed, from: dBefore, into: dNormed, tape)
            }
        }
    }

    private func halves(_ rows: Rows) -> (Rows, Rows?) {
        guard activation.isGated else { return (rows, nil) }
        return (rows.columns(0..<width), rows.columns(width..<2 * width))
    }
}
