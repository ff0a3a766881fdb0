internal import Inference

/// y = x · Wᵀ + b with W [out, in], or y = x · W + b with W [in, out] as GPT-2 stores it.
struct Linear {
    private let weight: Weight
    private let bias: Weight?
    private let isTransposed: Bool
    /// What a low-rank adapter adds.
    private let delta: LowRank?

    init(
        _ weight: Weight, bias: Weight? = nil, isTransposed: Bool = false, delta: LowRank? = nil
    ) {
        self.delta = delta
        self.weight = weight
        self.bias = bias
        self.isTransposed = isTransposed
    }

    /// The same matrix with another adapter.
    func with(_ delta: LowRank?) -> Linear {
        Linear(weight, bias: bias, isTransposed: isTransposed, delta: delta)
    }

    var width: Int { isTransposed ? weight.columns : weight.rows }

    func forward(_ x: Rows, into y: Rows, accumulate: Bool = false, _ tape: Tape) {
        tape.multiply(
            x, .plain, tape.value(weight), isTransposed ? .plain : .transposed, into: y,
            accumulate: accumulate)
        if let bias { y.add(toEach: tape.value(bias)) }
        delta?.forward(x, addingTo: y, tape)
    }

    /// - Parameter dx: the gradient of x, written or, with `accumulate`, added to; nil where no
    ///   earlier layer learns.
    func backward(
        _ x: Rows, from dy: Rows, into dx: Rows?, accumulate: Bool = false, _ tape: Tape
    ) {
        if !weight.isFrozen {
            let (left, right) = isTransposed ? (x, dy) : (dy, x)
            tape.multiply(
                left, .transposed, right, .plain, into: tape.gradient(weight), accumulate: true)
            if let bias { tape.gradient(bias).addSum(of: dy) }
        }
        if let dx {
            tape.multiply(
                dy, .plain, tape.value(weight), isTransposed ? .transposed : .plain, into: dx,
                accumulate: accumulate)
        }
        delta?.backward(x, from: dy, addingTo: dx, tape)
    }
}
