internal import Inference

/// The head and the cross-entropy of its logits, taken together over some rows at a time: the
/// logits of a batch, rows · vocabulary, never exist as a whole.
struct ResponseLoss {
    let weight: Weight
    /// The factor of the logits: a tied head of T5 v1.0 scales them.
    let scale: Float
    /// At most so many logits at a time: 16 MB, while a product still has rows enough.
    private static let logits = 4_194_304

    struct Settings {
        let labelSmoothing: Float
        /// How much of the wanted distribution is the teacher's.
        var distillation: Float = 0
        /// The factor of the loss: one over the number of tokens that it is the mean of.
        let scale: Float
    }

    /// The sum of the losses, unscaled. The gradient of the scaled sum is added to the head's and
    /// to that of `hidden` at once.
    ///
    /// - Parameter teacher: the states from which another model predicts the same targets.
    func add(
        _ hidden: Variable, targets: [Int32], teacher: Rows? = nil, _ settings: Settings,
        _ tape: Tape
    ) -> Double {
        let step = max(Self.logits / weight.rows, 16)
        let head = tape.value(weight)
        var total = 0.0
        for first in stride(from: 0, to: targets.count, by: step) {
            let part = first..<min(first + step, targets.count)
            tape.workspace.scope {
                let rows = hidden.value.rows(part)
                let logits = tape.rows(part.count, weight.rows)
                tape.multiply(rows, .plain, head, .transposed, into: logits, scale: scale)
                total += Gradients.crossEntropy(
                    logits, targets: targets[part], smoothing: settings.labelSmoothing,
                    scale: settings.scale, losses: tape.rows(1, part.count))
                guard tape.isTraining else { return }
                if let teacher {
                    let taught = tape.rows(part.count, weight.rows)
                    tape.multiply(
                        teacher.rows(part), .plain, head, .transposed, into: taught, scale: scale)
                    Gradients.distil(
                        taught, into: logits, targets: targets[part],
                        smoothing: settings.labelSmoothing,
                        scale: settings.scale * settings.distillation)
                }
                tape.multiply(
                    logits, .plain, head, .plain, into: hidden.gradient.rows(part), scale: scale,
                    accumulate: true)
                guard !weight.isFrozen else { return }
                tape.multiply(
                    logits, .transposed, rows, .plain, into: tape.gradient(weight), scale: scale,
                    accumulate: true)
            }
        }
        return total
    }
}
