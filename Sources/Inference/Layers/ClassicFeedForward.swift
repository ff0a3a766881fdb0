internal import Checkpoints

/// The feed-forward part of the classic transformer: outer( activation( inner(x) ) ).
struct ClassicFeedForward: Sendable {
    private let around: ResidualNorm
    private let inner: BiasedMatrix
    private let outer: BiasedMatrix
    private let activation: Operators.Activation

    /// - Parameter prefix: such as `model.encoder.layers.0.`.
    init(
        _ loader: WeightLoader, prefix: String, stack: ClassicConfiguration.Stack,
        configuration: ClassicConfiguration
    ) throws {
        let wide = stack.feedForwardWidth
        inner = try loader.biased([prefix + "fc1"], columns: wide, inner: configuration.width)
        outer = try loader.biased([prefix + "fc2"], columns: configuration.width, inner: wide)
        around = try ResidualNorm(
            loader, prefix + "final_layer_norm", configuration: configuration)
        activation =
            switch configuration.activation {
            case .relu: .relu
            case .silu: .silu
            case .gelu: .errorGelu
            case .tanhGelu: .gelu
            }
    }

    var matrices: [PackedMatrix] { [inner.weight, outer.weight] }

    func apply(to x: Rows, workspace: Workspace) {
        workspace.blocks(of: x.count) { rows, workspace in
            let block = x.rows(rows)
            workspace.scope {
                let hidden = workspace.rows(block.count, inner.weight.columns)
                inner.apply(
                    around.input(block, workspace: workspace), into: hidden,
                    activation: activation, workspace: workspace)
                outer.apply(hidden, into: block, accumulate: true, workspace: workspace)
                around.finish(block, workspace: workspace)
            }
        }
    }
}
