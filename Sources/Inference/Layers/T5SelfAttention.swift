internal import Checkpoints

/// x += o( softmax(q kᵀ + bias) v ), where q, k and v are projections of the normed x. T5 does not
/// divide scores by √headWidth.
struct T5SelfAttention: Sendable {
    private let norm: WeightVector
    /// q, k and v side by side: [modelWidth → 3 · innerWidth]
    private let input: PackedMatrix
    private let output: PackedMatrix
    private let attention: HeadAttention
    private let epsilon: Float

    init(
        _ loader: WeightLoader, _ layout: T5Layout.Attention, configuration: T5Configuration
    ) throws {
        attention = HeadAttention(configuration, format: loader.cacheFormat)
        epsilon = configuration.epsilon
        input = try loader.matrix([layout.query, layout.key, layout.value])
        output = try loader.matrix([layout.output])
        norm = try loader.vector(layout.norm)
    }

    var matrices: [PackedMatrix] { [input, output] }

    private func project(_ x: Rows, workspace: Workspace) -> Rows {
        let projected = workspace.rows(x.count, input.columns)
        workspace.scope {
            let normed = workspace.rows(x.count, x.width)
            Operators.rootMeanSquareNorm(x, weight: norm, epsilon: epsilon, into: normed)
            Operators.multiply(normed, input, into: projected, workspace: workspace)
        }
        return projected
    }

    /// Every token attends to every token of its document.
    ///
    /// x: the documents' tokens below each other, without padding; bias: per head a row of biases
    /// by key − query, with 0 in the middle.
    func apply(to x: Rows, documents: [Range<Int>], bias: Rows, workspace: Workspace) {
        attention.overDocuments(
            x, documents, bias: bias, workspace: workspace,
            project: { project($0, workspace: workspace) },
            finish: { mixed, block in
                Operators.multiply(
                    mixed, output, into: block, accumulate: true, workspace: workspace)
            })
    }

    /// One new token per row, at its position: see `HeadAttention.step`.
    ///
    /// bias: per head a row whose last column is for distance 0, the one before for 1, ….
    func step(
        _ x: Rows, rows: [DecoderRow], positions: [Int], layer: Int, bias: Rows,
        workspace: Workspace
    ) {
        workspace.scope {
            let projected = project(x, workspace: workspace)
            let mixed = workspace.rows(x.count, attention.width)
            attention.step(
                projected, rows: rows, positions: positions, layer: layer, bias: bias,
                into: mixed, workspace: workspace)
            Operators.multiply(mixed, output, into: x, accumulate: true, workspace: workspace)
        }
    }
}

extension HeadAttention {
    /// The attention of a T5, which does not divide scores by √headWidth.
    init(_ configuration: T5Configuration, format: WeightFormat) {
        self.init(
            heads: configuration.heads, headWidth: configuration.headWidth, scale: 1,
            format: format)
    }
}
