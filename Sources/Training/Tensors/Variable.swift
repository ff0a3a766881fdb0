package import Inference

/// Token vectors on their way through a model, [tokens, width], and the gradient of the loss with
/// respect to them, to which the backward pass adds.
package struct Variable {
    package let value: Rows
    package let gradient: Rows
}

extension Variable {
    func rows(_ range: Range<Int>) -> Variable {
        Variable(
            value: value.rows(range),
            gradient: gradient.count == 0 ? gradient : gradient.rows(range))
    }

    /// Adds `source` to this variable. The backward pass adds this gradient to that of `source`.
    func add(_ source: Variable, _ tape: Tape) {
        value.add(source.value)
        tape.onBackward { source.gradient.add(gradient) }
    }
}
