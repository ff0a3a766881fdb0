internal import Inference

/// y = x · Wᵀ + b with W [out, in], or y = x · W + b with W [in, out] as GPT-2 stores it.
struct Linear {
    private let weight: Weight
    private let bias: Weight?
    private let isTransposed: Bool

    init(_ weight: Weight, bias: Weight? = nil, isTransposed: Bool = false) {
        self.weight = weight
        self.bias = bias
        self.isTransposed = isTransposed
    }

    var width: Int { isTransposed ? weight.columns : weight.rows }

    func forward(_ x: Rows, into y: Rows, accumulate: Bool = false, _ tape: Tape) {
        Products.multiply(
            x, .plain, tape.value(weight), isTransposed ? .plain : .transposed, into: y,
            accumulate: accumulate)
        if let bias { y.add(toEach: tape.value(bias)) }
    }

    /// - Parameter dx: written, or added to with `accumulate`; nil where nothing before it learns.
    func backward(
        _ x: Rows, from dy: Rows, into dx: Rows?, accumulate: Bool = false, _ tape: Tape
    ) {
        if !weight.isFrozen {
            let (left, right) = isTransposed ? (x, dy) : (dy, x)
            Products.multiply(
                left, .transposed, right, .plain, into: tape.gradient(weight), accumulate: true)
            if let bias { tape.gradient(bias).addSum(of: dy) }
        }
        if let dx {
            Products.multiply(
                dy, .plain, tape.value(weight), isTransposed ? .transposed : .plain, into: dx,
                accumulate: accumulate)
        }
    }
}
