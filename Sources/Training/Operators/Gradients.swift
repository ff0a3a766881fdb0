internal import CKernels
internal import Inference

/// The kernels of training on rows. Gradients are added to their targets unless a comment says
/// otherwise.
enum Gradients {
    static let kernels: l2s_kernels = {
        guard let chosen = l2s_kernels_for(l2s_level(KernelLevel.chosen.number)) else {
            preconditionFailure("the chosen level is one that this machine has")
        }
        return chosen.pointee
    }()

    static func norm(_ x: Rows, _ weight: Rows, bias: Rows?, epsilon: Float, into out: Rows) {
        precondition(x.elements == out.elements, "\(x.elements) floats into \(out.elements)")
        if let bias {
            kernels.layer_norm(
                x.base, weight.base, bias.base, epsilon, x.count, x.width, out.base)
        } else {
            kernels.rms_norm(x.base, weight.base, epsilon, x.count, x.width, out.base)
        }
    }

    static func normBackward(
        _ x: Rows, _ weight: Rows, epsilon: Float, from gradient: Rows, into dx: Rows,
        weight dWeight: Rows, bias dBias: Rows?
    ) {
        precondition(
            x.elements == gradient.elements && x.elements == dx.elements,
            "\(x.elements), \(gradient.elements), \(dx.elements) floats")
        if let dBias {
            kernels.layer_norm_backward(
                x.base, weight.base, epsilon, gradient.base, x.count, x.width, dx.base,
                dWeight.base, dBias.base)
        } else {
            kernels.rms_norm_backward(
                x.base, weight.base, epsilon, gradient.base, x.count, x.width, dx.base,
                dWeight.base)
        }
    }

    /// Turns scores into softmax(scores · scale + bias). `bias` points into a row of biases by
    /// key − query, at the value for key = query. With `isCausal`, the last query attends to all
    /// keys, and each query before it to one key less.
    static func softmax(
        _ scores: Rows, scale: Float, bias: FloatPointer?, isCausal: Bool
    ) {
        guard isCausal else {
            kernels.softmax(
                scores.base, scores.stride, scores.count, scores.width, scale, bias, -1)
            return
        }
        let before = scores.width - scores.count
        for row in 0..<scores.count {
            let seen = before + row + 1
            kernels.softmax(scores[row], scores.stride, 1, seen, scale, bias.map { $0 - row }, -1)
            (scores[row] + seen).update(repeating: 0, count: scores.width - seen)
        }
    }

    /// Turns the gradient of the probabilities into the gradient of the scores before `scale`.
    static func softmaxBackward(_ probabilities: Rows, _ gradient: Rows, scale: Float) {
        kernels.softmax_backward(
            probabilities.base, gradient.base, gradient.count, gradient.width, scale)
    }

    /// out = gelu(x), times `up` where there is one.
    static func gelu(_ x: Rows, up: Rows? = nil, into out: Rows) {
        for row in 0..<x.count { kernels.gelu(x[row], up?[row], x.width, out[row]) }
    }

    /// Writes dx, and dUp.
    static func geluBackward(
        _ x: Rows, up: Rows? = nil, from gradient: Rows, into dx: Rows, up dUp: Rows? = nil
    ) {
        for row in 0..<x.count {
            kernels.gelu_backward(
                x[row], up?[row], gradient[row], x.width, dx[row], dUp?[row])
        }
    }

    /// out = silu(gate) · up.
    static func gatedSilu(_ gate: Rows, up: Rows, into out: Rows) {
        for row in 0..<gate.count { kernels.swiglu(gate[row], up[row], gate.width, out[row]) }
    }

    /// Writes dGate and dUp.
    static func gatedSiluBackward(
        _ gate: Rows, up: Rows, from gradient: Rows, into dGate: Rows, up dUp: Rows
    ) {
        for row in 0..<gate.count {
            kernels.swiglu_backward(
                gate[row], up[row], gradient[row], gate.width, dGate[row], dUp[row])
        }
    }

    /// Turns logits into their gradients, times `scale`. Returns the sum of the unscaled losses.
    static func crossEntropy(
        _ logits: Rows, targets: ArraySlice<Int32>, smoothing: Float, scale: Float,
        losses: Rows
    ) -> Double {
        precondition(
            targets.count == logits.count && losses.width >= logits.count
                && logits.stride == logits.width
                && targets.allSatisfy { (0..<Int32(logits.width)).contains($0) },
            "\(targets.count) targets for [\(logits.count), \(logits.width)] logits")
        targets.withUnsafeBufferPointer {
            kernels.cross_entropy(
                logits.base, logits.count, logits.width, $0.baseAddress, smoothing, scale,
                losses.base)
        }
        return (0..<logits.count).reduce(0.0) { $0 + Double(losses.base[$1]) }
    }

    /// Word-level distillation (Kim and Rush 2016): turns the gradient that `crossEntropy` left
    /// into the one for a mixture of the label and a teacher's distribution.
    ///
    /// - Parameters:
    ///   - teacher: its logits [tokens, vocabulary], which are overwritten.
    ///   - smoothing: that of `crossEntropy`.
    ///   - scale: that of `crossEntropy` times the teacher's share of the mixture.
    static func distil(
        _ teacher: Rows, into gradient: Rows, targets: ArraySlice<Int32>, smoothing: Float,
        scale: Float
    ) {
        softmax(teacher, scale: 1, bias: nil, isCausal: false)
        let spread = smoothing / Float(gradient.width)
        for (row, target) in targets.enumerated() {
            let (wanted, own) = (teacher[row], gradient[row])
            for token in 0..<gradient.width { own[token] += scale * (spread - wanted[token]) }
            own[Int(target)] += scale * (1 - smoothing)
        }
    }
}
