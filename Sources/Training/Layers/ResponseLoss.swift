internal import Inference

/// The head and the cross-entropy of its logits. Both are computed for some rows at a time, so that
/// the logits of a whole batch, [rows, vocabulary], never take memory at once.
struct ResponseLoss {
    let weight: Weight
    /// The factor of the logits: a tied head of T5 v1.0 scales them.
    let scale: Float
    /// The most logits at a time. They take 16 MB, and a product still has enough rows.
    private static let logits = 4_194_304

    struct Settings {
        let labelSmoothing: Float
        /// The teacher's share of the distribution that is learned.
        var distillation: Float = 0
        /// The factor of the loss: one over the number of tokens, where the loss is their mean.
        let scale: Float
    }

    /// Returns the unscaled sum of the losses, and adds the gradient of the scaled sum to the
    /// gradients of the head and of `hidden`.
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
