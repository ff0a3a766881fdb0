/// y = x · W + b
struct BiasedMatrix: Sendable {
    let weight: PackedMatrix
    let bias: WeightVector

    /// output (+)= input · W + b, then the activation.
    func apply(
        _ input: Rows, into output: Rows, accumulate: Bool = false,
        activation: Operators.Activation = .none, workspace: Workspace
    ) {
        Operators.multiply(
            input, weight, into: output, accumulate: accumulate, bias: bias,
            activation: activation, workspace: workspace)
    }
}

extension WeightLoader {
    /// Linear layers with biases, side by side. Each weight is stored [columns, inner].
    ///
    /// - Parameter names: without `.weight` and `.bias`.
    func biased(_ names: [String], columns: Int, inner: Int) throws -> BiasedMatrix {
        let biases = try names.map { try table($0 + ".bias", shape: [columns]) }
        let joined = FloatBuffer(count: names.count * columns)
        for (index, bias) in biases.enumerated() {
            (joined.base + index * columns).update(from: bias.base, count: columns)
        }
        return BiasedMatrix(
            weight: try matrix(names.map { $0 + ".weight" }, shape: [columns, inner]),
            bias: WeightVector(buffer: joined))
    }
}
