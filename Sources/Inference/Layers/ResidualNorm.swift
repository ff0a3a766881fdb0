internal import Checkpoints

/// A LayerNorm: (x − mean) / deviation · weight + bias.
struct LayerNorm: Sendable {
    private let weight: WeightVector
    private let bias: WeightVector
    private let epsilon: Float

    /// - Parameter name: without `.weight` and `.bias`.
    init(_ loader: WeightLoader, _ name: String, width: Int, epsilon: Float) throws {
        weight = try loader.vector(name + ".weight", count: width)
        bias = try loader.vector(name + ".bias", count: width)
        self.epsilon = epsilon
    }

    func apply(_ x: Rows, into output: Rows) {
        Operators.layerNorm(x, weight: weight, bias: bias, epsilon: epsilon, into: output)
    }

    func apply(inPlace x: Rows, workspace: Workspace) {
        workspace.scope {
            let normed = workspace.rows(x.count, x.width)
            apply(x, into: normed)
            x.copy(from: normed)
        }
    }
}

/// The norm and the sum around a part f of a layer: x + f(norm(x)) where norms come first,
/// norm(x + f(x)) where they come last.
struct ResidualNorm: Sendable {
    private let norm: LayerNorm
    private let comesFirst: Bool

    /// - Parameter name: without `.weight` and `.bias`.
    init(_ loader: WeightLoader, _ name: String, configuration: ClassicConfiguration) throws {
        norm = try LayerNorm(
            loader, name, width: configuration.width, epsilon: configuration.epsilon)
        comesFirst = configuration.normsComeFirst
    }

    /// The input of f: valid in the caller's workspace scope.
    func input(_ x: Rows, workspace: Workspace) -> Rows {
        guard comesFirst else { return x }
        let normed = workspace.rows(x.count, x.width)
        norm.apply(x, into: normed)
        return normed
    }

    /// To be called after f was added to x.
    func finish(_ x: Rows, workspace: Workspace) {
        if !comesFirst { norm.apply(inPlace: x, workspace: workspace) }
    }
}
