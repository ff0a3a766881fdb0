internal import CKernels

/// The mathematics of the layers. No operator allocates memory, and each computes its rows
/// independently of each other.
enum Operators {
    private static let kernels: l2s_kernels = {
        guard let chosen = l2s_kernels_for(KernelLevel.chosen.code) else {
            preconditionFailure("\(KernelLevel.chosen) does not run here")
        }
        return chosen.pointee
    }()

    enum Activation {
        case none, relu, silu
        /// GELU by the hyperbolic tangent.
        case gelu
        /// GELU by the error function.
        case errorGelu

        fileprivate var code: l2s_activation {
            switch self {
            case .none: L2S_NONE
            case .relu: L2S_RELU
            case .gelu: L2S_GELU
            case .silu: L2S_SILU
            case .errorGelu: L2S_ERROR_GELU
            }
        }
    }

    /// output (+)= input · weights + bias, then the activation; lanes that help take a share of it.
    ///
    /// - Parameter biasStart: the element of the bias that the first column gets.
    static func multiply(
        _ input: Rows, _ weights: PackedMatrix, into output: Rows, accumulate: Bool = false,
        bias: WeightVector? = nil, biasStart: Int = 0, activation: Activation = .none,
        workspace: Workspace
    ) {
        precondition(
            input.width == weights.inner && output.width == weights.columns
                && input.count == output.count,
            "[\(input.count), \(input.width)] · [\(weights.inner), \(weights.columns)]")
        let pieces = pieces(rows: input.count, of: weights, for: workspace)
        workspace.share(pieces.count) { piece, workspace in
            let (rows, columns) = pieces.part(piece)
            multiplyAlone(
                input.rows(rows), weights.panels(columns),
                into: output.rows(rows).columns(columns), accumulate: accumulate, bias: bias,
                biasStart: biasStart + columns.lowerBound, activation: activation,
                workspace: workspace)
        }
    }

    /// Rows or columns of a product, in about equal parts.
    private struct Pieces {
        let count: Int
        let rows: Int
        let columns: Int
        /// Whether a piece is some rows and all columns, or the other way round.
        let areRows: Bool

        func part(_ piece: Int) -> (rows: Range<Int>, columns: Range<Int>) {
            areRows
                ? (rows.part(piece, of: count), 0..<columns)
                : (0..<rows, columns.part(piece, of: count, unit: PackedMatrix.panelWidth))
        }
    }

    /// Cuts a product for the members of a crew. Many rows are cut into rows, so that each row is
    /// rounded by one member only. Few rows are cut into columns, so that each member reads a part
    /// of the weights.
    private static func pieces(
        rows: Int, of weights: PackedMatrix, for workspace: Workspace
    ) -> Pieces {
        let members = workspace.members
        let areRows = workspace.hasEnough(rows)
        let panels = (weights.columns + PackedMatrix.panelWidth - 1) / PackedMatrix.panelWidth
        let isShared = rows * weights.count >= workspace.crew?.smallestShared ?? .max
        let count = isShared ? min(members, areRows ? rows : panels) : 1
        return Pieces(count: count, rows: rows, columns: weights.columns, areRows: areRows)
    }

    private static func multiplyAlone(
        _ input: Rows, _ weights: PackedMatrix, into output: Rows, accumulate: Bool,
        bias: WeightVector?, biasStart: Int, activation: Activation, workspace: Workspace
    ) {
        workspace.scope {
            let bytes = l2s_scratch_bytes(weights.format.code, input.count, input.width)
            let scratch = bytes > 0 ? workspace.rows(1, bytes / 4).base : nil
            let spread = spread(input, over: weights.hadamardBlock, workspace: workspace)
            weights.withKernelView { matrix in
                kernels.matmul(
                    spread.base, spread.stride, input.count, input.width, matrix, weights.columns,
                    output.base, output.stride, accumulate ? 1 : 0,
                    bias.map { $0.buffer.base + biasStart },
                    activation.code, scratch)
            }
        }
    }

    /// The rows with each block after a Hadamard transform, in memory of the workspace's scope; x
    /// itself where `block` is nil.
    private static func spread(_ x: Rows, over block: Int?, workspace: Workspace) -> Rows {
        guard let block else { return x }
        let spread = workspace.rows(x.count, x.width)
        kernels.hadamard(x.base, x.stride, x.count, x.width, block, spread.base)
        return spread
    }

    /// Takes each block of each row through a Hadamard transform, in place. The rows lie side by
    /// side.
    static func spread(_ x: Rows, over block: Int) {
        kernels.hadamard(x.base, x.stride, x.count, x.width, block, x.base)
    }

    static func rootMeanSquareNorm(
        _ input: Rows, weight: WeightVector, epsilon: Float, into output: Rows
    ) {
        kernels.rms_norm(
            input.base, weight.buffer.base, epsilon, input.count, input.width, output.base)
    }

    static func layerNorm(
        _ input: Rows, weight: WeightVector, bias: WeightVector, epsilon: Float, into output: Rows
    ) {
        kernels.layer_norm(
            input.base, weight.buffer.base, bias.buffer.base, epsilon, input.count, input.width,
            output.base)
    }

    /// The first half of each row [gate | up] becomes gelu(gate) · up.
    static func gatedGelu(_ rows: Rows) {
        let half = rows.width / 2
        for row in 0..<rows.count { kernels.gated_gelu(rows[row], rows[row] + half, half) }
    }

    /// The first half of each row [gate | up] becomes silu(gate) · up.
    static func gatedSilu(_ rows: Rows) {
        let half = rows.width / 2
        for row in 0..<rows.count { kernels.gated_silu(rows[row], rows[row] + half, half) }
    }

    /// Every value x becomes cap · tanh(x / cap).
    static func softCap(_ rows: Rows, cap: Float) {
        for row in 0..<rows.count { kernels.soft_cap(rows[row], rows.width, 1 / cap, cap) }
    }

    /// Turns the heads of each row by the angles of the same row: see `rotate` in CKernels.h.
    static func rotate(_ rows: Rows, headWidth: Int, angles: Rows) {
        precondition(
            angles.count == rows.count && angles.width == headWidth,
            "[\(angles.count), \(angles.width)] for \(rows.count) rows")
        kernels.rotate(
            rows.base, rows.stride, rows.count, rows.width / headWidth, headWidth, angles.base)
    }

    private static func multiply(
        _ input: Rows, _ packed: UnsafePointer<Float>, columns: Int, into output: Rows
    ) {
        var matrix = l2s_matrix(
            format: L2S_F32, panels: packed, scales: nil, sums: nil, group_scales: nil,
            group_lows: nil)
        kernels.matmul(
            input.base, input.stride, input.count, input.width, &matrix, columns, output.base,
            output.stride, 0, nil, L2S_NONE, nil)
    }

    /// What query rows see of a cache's positions.
    struct Reach {
        /// The position of the first row; each further row stands one position later.
        var position = 0
        /// How many positions a row sees before its own, and how many behind it.
        var before = Int.max
        var after = Int.max

        static let everything = Reach()
    }

    /// Attention of query rows [rows, group · heads · headWidth] to the first `length` positions of
    /// one layer's cache; `group` query heads side by side share a head of it. Scores become
    /// `cap` · tanh(score / `cap`) unless `cap` is nil. `bias` points at the biases of the first
    /// row of the first head. Those of the next head begin `biasStride` later, those of the next
    /// row one place earlier.
    static func attend(
        query: Rows, cache: KeyValueCache, layer: Int, length: Int, reach: Reach = .everything,
        group: Int = 1, scale: Float, cap: Float? = nil, bias: UnsafePointer<Float>? = nil,
        biasStride: Int = 0, into output: Rows, workspace: Workspace
    ) {
        precondition(length <= cache.capacity, "\(length) positions of \(cache.capacity)")
        // Later rows may see more positions than earlier ones, so there are more pieces than
        // members.
        let pieces =
            workspace.members == 1 ? 1 : max(1, min(4 * workspace.members, query.count / 12))
        workspace.share(pieces) { piece, workspace in
            let own = query.count.part(piece, of: pieces)
            let first = own.lowerBound
            var attention = l2s_attention(
                length: length, position: reach.position + first, before: reach.before,
                after: reach.after, group: group, scale: scale, cap: cap ?? 0,
                bias: bias.map { $0 - first }, bias_stride: biasStride, bias_step: -1)
            cache.withKernelView(layer) { view in
                workspace.scope {
                    let scratch = workspace.rows(1, l2s_attend_scratch(own.count, group, view))
                    kernels.attend(
                        query[first], query.stride, own.count, view, &attention, scratch.base,
                        output[first], output.stride)
                }
            }
        }
    }

    /// Writes positions of one layer. key, value: [positions, heads · headWidth], `stride` apart.
    static func remember(
        _ cache: KeyValueCache, layer: Int, positions: Range<Int>, key: UnsafePointer<Float>,
        value: UnsafePointer<Float>, stride: Int
    ) {
        cache.withKernelView(layer) {
            kernels.remember($0, positions.lowerBound, positions.count, key, value, stride)
        }
    }

    /// Full self-attention of one document and head.
    ///
    /// query, key, value, output: [tokens, headWidth]. `bias` points at the bias for key − query =
    /// 0, which lies between those for −(tokens − 1) … tokens − 1.
    static func attendAll(
        query: Rows, key: Rows, value: Rows, bias: UnsafePointer<Float>?, scale: Float,
        into output: Rows, workspace: Workspace
    ) {
        let tokens = query.count
        workspace.scope {
            let keys = workspace.rows(1, l2s_packed_count(key.width, tokens))
            let values = workspace.rows(1, l2s_packed_count(tokens, value.width))
            l2s_pack_rows(key.base, key.stride, tokens, key.width, keys.base)
            l2s_pack_columns(value.base, value.stride, tokens, value.width, values.base)
            // As many query rows at a time as keep the scores in the second-level cache.
            let step = max(12, min(tokens, 65_536 / tokens / 12 * 12))
            let scores = workspace.rows(min(step, tokens), tokens)
            for first in stride(from: 0, to: tokens, by: step) {
                let block = query.rows(first..<min(first + step, tokens))
                multiply(block, keys.base, columns: tokens, into: scores.rows(0..<block.count))
                kernels.softmax(
                    scores.base, tokens, block.count, tokens, scale,
                    bias.map { $0 - first }, -1)
                let target = output.rows(first..<first + block.count)
                multiply(
                    scores.rows(0..<block.count), values.base, columns: value.width, into: target)
            }
        }
    }

    static func highest(_ values: UnsafePointer<Float>, count: Int) -> Float {
        kernels.highest(values, count)
    }

    /// ln Σ e^x, without overflow.
    static func logSumExp(_ values: UnsafePointer<Float>, count: Int) -> Float {
        kernels.log_sum_exp(values, count)
    }

    /// The index of the largest value, the first among equals; 0 where every value is NaN.
    static func argmax(_ values: UnsafePointer<Float>, count: Int) -> Int {
        let top = highest(values, count: count)
        return (0..<count).first { values[$0] == top } ?? 0
    }
}

/// A thread that does nothing but compute.
package enum ComputeThread {
    /// Keeps the calling thread on one of the processors that the process may use, by its number
    /// among them.
    ///
    /// - Returns: whether the system permits it.
    @discardableResult
    package static func pin(to processor: Int) -> Bool { l2s_pin_thread(processor) != 0 }
}
