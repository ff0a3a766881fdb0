internal import Checkpoints

/// x += down( act(gate x̂) · (up x̂) ), where x̂ is the normed x.
struct RotaryFeedForward: Sendable {
    private let norm: WeightVector
    /// gate and up side by side.
    private let inner: Linear
    private let outer: Linear
    private let outputNorm: WeightVector?
    private let activation: RotaryConfiguration.Activation
    private let epsilon: Float

    /// - Parameters:
    ///   - norm: the name of the norm of x, without `.weight`.
    ///   - outputNorm: the name of the norm of what is added to x, without `.weight`; nil for none.
    init(_ tensors: RotaryTensors, norm: String, outputNorm: String?) throws {
        let configuration = tensors.configuration
        let wide = configuration.feedForwardWidth
        self.norm = try tensors.norm(norm)
        inner = try tensors.linear(
            [("mlp.gate_proj", wide), ("mlp.up_proj", wide)], inner: configuration.width,
            hasBias: configuration.hasFeedForwardBias)
        outer = try tensors.linear(
            [("mlp.down_proj", configuration.width)], inner: wide,
            hasBias: configuration.hasFeedForwardBias)
        self.outputNorm = try outputNorm.map { try tensors.norm($0) }
        activation = configuration.activation
        epsilon = configuration.epsilon
    }

    var matrices: [PackedMatrix] { [inner.weight, outer.weight] }

    func apply(to x: Rows, workspace: Workspace) {
        workspace.blocks(of: x.count) { own, workspace in
            let block = x.rows(own)
            workspace.scope {
                let normed = workspace.rows(block.count, block.width)
                let hidden = workspace.rows(block.count, inner.weight.columns)
                Operators.rootMeanSquareNorm(block, weight: norm, epsilon: epsilon, into: normed)
                inner.apply(normed, into: hidden, workspace: workspace)
                switch activation {
                case .silu: Operators.gatedSilu(hidden)
                case .gelu: Operators.gatedGelu(hidden)
                }
                outer.add(
                    hidden.columns(0..<outer.weight.inner), to: block, norm: outputNorm,
                    epsilon: epsilon, workspace: workspace)
            }
        }
    }
}
