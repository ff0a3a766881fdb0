package import Inference

/// Token vectors on their way through a model, [tokens, width], and the gradient of the loss by
/// them, which the backward pass adds up.
package struct Stream {
    package let value: Rows
    package let gradient: Rows
}

extension Stream {
    func rows(_ range: Range<Int>) -> Stream {
        Stream(
            value: value.rows(range),
            gradient: gradient.count == 0 ? gradient : gradient.rows(range))
    }

    /// Adds `source` to this, and the gradient of this to that of `source`.
    func add(_ source: Stream, _ pass: Pass) {
        value.add(source.value)
        pass.onBackward { source.gradient.add(gradient) }
    }
}
