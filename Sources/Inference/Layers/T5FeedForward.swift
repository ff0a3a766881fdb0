internal import Checkpoints

/// x += wo( relu(wi x̂) )  or  x += wo( gelu(wi_0 x̂) · (wi_1 x̂) ), where x̂ is the normed x.
struct T5FeedForward: Sendable {
    private let norm: WeightVector
    /// wi, or wi_0 and wi_1 side by side.
    private let inner: PackedMatrix
    private let outer: PackedMatrix
    private let isGated: Bool
    private let epsilon: Float

    init(
        _ loader: WeightLoader, _ layout: T5Layout.FeedForward, configuration: T5Configuration
    ) throws {
        isGated = layout.inner.count == 2
        inner = try loader.matrix(layout.inner)
        outer = try loader.matrix([layout.outer])
        norm = try loader.vector(layout.norm)
        epsilon = configuration.epsilon
    }

    var matrices: [PackedMatrix] { [inner, outer] }

    func apply(to x: Rows, workspace: Workspace) {
        workspace.blocks(of: x.count) { own, workspace in
            let block = x.rows(own)
            workspace.scope {
                let normed = workspace.rows(block.count, block.width)
                let hidden = workspace.rows(block.count, inner.columns)
                Operators.rootMeanSquareNorm(block, weight: norm, epsilon: epsilon, into: normed)
                Operators.multiply(
                    normed, inner, into: hidden, activation: isGated ? .none : .relu,
                    workspace: workspace)
                if isGated { Operators.gatedGelu(hidden) }
                Operators.multiply(
                    hidden.columns(0..<outer.inner), outer, into: block, accumulate: true,
                    workspace: workspace)
            }
        }
    }
}
