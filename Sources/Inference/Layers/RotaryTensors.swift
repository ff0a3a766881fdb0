internal import Checkpoints

/// Loads the tensors of one layer with rotary positions, by the names that checkpoints give them.
struct RotaryTensors {
    let loader: WeightLoader
    /// Begins the names of the layer's tensors, such as `model.layers.0.`.
    let prefix: String
    let configuration: RotaryConfiguration

    /// Linear layers side by side, and their biases.
    func linear(
        _ names: [(name: String, columns: Int)], inner: Int, hasBias: Bool
    ) throws -> Linear {
        let parts = names.map { (name: prefix + $0.name, columns: $0.columns) }
        return Linear(
            weight: try loader.matrix(
                parts.map { ($0.name + ".weight", $0.columns) }, inner: inner),
            bias: hasBias
                ? try loader.vector(parts.map { (name: $0.name + ".bias", count: $0.columns) })
                : nil)
    }

    /// - Parameter name: without `.weight`.
    func norm(_ name: String, width: Int? = nil) throws -> WeightVector {
        try loader.norm(
            prefix + name + ".weight", count: width ?? configuration.width,
            addsOne: configuration.normsAddOne)
    }
}

/// y = x · W + b
struct Linear: Sendable {
    let weight: PackedMatrix
    let bias: WeightVector?

    func apply(_ x: Rows, into y: Rows, accumulate: Bool = false, workspace: Workspace) {
        Operators.multiply(
            x, weight, into: y, accumulate: accumulate, bias: bias, workspace: workspace)
    }

    /// x += y · W + b, or x += norm(y · W + b) where a norm is given.
    func add(_ y: Rows, to x: Rows, norm: WeightVector?, epsilon: Float, workspace: Workspace) {
        guard let norm else {
            apply(y, into: x, accumulate: true, workspace: workspace)
            return
        }
        workspace.scope {
            let output = workspace.rows(x.count, x.width)
            apply(y, into: output, workspace: workspace)
            Operators.rootMeanSquareNorm(output, weight: norm, epsilon: epsilon, into: output)
            x.add(output)
        }
    }
}
