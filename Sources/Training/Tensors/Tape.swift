package import Inference

/// The forward and backward pass of one part of a batch, on one thread.
///
/// A layer computes its output at once and leaves a closure that computes its backward pass. The
/// tape keeps the closures in the order in which the layers ran. Memory comes from the workspace's
/// current scope.
package final class Tape {
    private let values: FloatBuffer
    private let gradients: FloatBuffer
    private let base: FloatBuffer
    private let precision: Precision
    let workspace: Workspace
    let dropout: Dropout
    /// Whether a backward pass will follow. Otherwise nothing is kept for it.
    let isTraining: Bool
    private var steps: [() -> Void] = []

    /// - Parameters:
    ///   - gradients: what the backward pass adds to; as many floats as `values`.
    ///   - base: the base weights, where the model has some.
    ///   - precision: that of products.
    package init(
        values: FloatBuffer, gradients: FloatBuffer, base: FloatBuffer? = nil,
        workspace: Workspace, dropout: Dropout = Dropout.none, isTraining: Bool = true,
        precision: Precision = .float32
    ) {
        self.base = base ?? values
        self.precision = precision
        self.values = values
        self.gradients = gradients
        self.workspace = workspace
        self.dropout = isTraining ? dropout : .none
        self.isTraining = isTraining
    }

    func value(_ weight: Weight) -> Rows { view(weight.isBase ? base : values, weight) }

    /// Base weights have no gradients. For them, this is memory of the current scope that nothing
    /// reads.
    func gradient(_ weight: Weight) -> Rows {
        guard weight.isBase else { return view(gradients, weight) }
        let unread = rows(weight.rows, weight.columns)
        unread.clear()
        return unread
    }

    private func view(_ buffer: FloatBuffer, _ weight: Weight) -> Rows {
        Rows(
            base: buffer.base + weight.range.lowerBound, count: weight.rows,
            width: weight.columns, stride: weight.columns)
    }

    /// c = scale · a · b, or c += scale · a · b with `accumulate`, in the tape's precision. Either
    /// operand may be transposed.
    func multiply(
        _ a: Rows, _ aForm: Products.Form = .plain, _ b: Rows, _ bForm: Products.Form = .plain,
        into c: Rows, scale: Float = 1, accumulate: Bool = false
    ) {
        Products.multiply(
            a, aForm, b, bForm, into: c, scale: scale, accumulate: accumulate,
            precision, workspace)
    }

    /// The same tape without a backward pass and without dropout, for layers that only read.
    var silent: Tape {
        Tape(
            values: values, gradients: gradients, base: base, workspace: workspace,
            isTraining: false, precision: precision)
    }

    /// With undefined contents.
    func rows(_ count: Int, _ width: Int) -> Rows { workspace.rows(count, width) }

    func variable(_ count: Int, _ width: Int) -> Variable {
        let gradient = rows(isTraining ? count : 0, width)
        gradient.clear()
        return Variable(value: rows(count, width), gradient: gradient)
    }

    func copy(_ source: Rows) -> Rows {
        let copy = rows(source.count, source.width)
        copy.copy(from: source)
        return copy
    }

    /// Adds a step of the backward pass. The memory that `step` takes is free again after it.
    func onBackward(_ step: @escaping () -> Void) {
        if isTraining { steps.append(step) }
    }

    /// Runs the backward pass through everything that ran forward.
    package func backward() {
        while let step = steps.popLast() { workspace.scope(step) }
    }
}
