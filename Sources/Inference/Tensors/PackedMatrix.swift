internal import CKernels

/// The number format in which a matrix's weights are held.
package enum WeightFormat: String, Sendable, CaseIterable {
    case float32
    case bfloat16
    /// Weights are quantised symmetrically, with a scale per output column; activations are
    /// quantised per token on the fly. Both go through Hadamard transforms before, which do not
    /// change their products: see `PackedMatrix.hadamardBlock`. A model's matrices that would lose
    /// more than `PackedMatrix.largestLoss` are held in bfloat16.
    case int8
    /// In steps from a low end, both for each group of 32 inputs of an output row; activations are quantised
    /// in the same groups, without transforms. What GGUF files hold as Q4_0 keeps its values, and so does
    /// Q4_1 as GGML writes it. Caches are those of int8.
    case int4

    var code: l2s_format {
        switch self {
        case .float32: L2S_F32
        case .bfloat16: L2S_BF16
        case .int8: L2S_INT8
        case .int4: L2S_INT4
        }
    }
}

/// An immutable weight matrix, y = x · W, packed once for the matrix kernels.
struct PackedMatrix: Sendable {
    /// Width of x.
    let inner: Int
    /// Width of y.
    let columns: Int
    let format: WeightFormat
    /// The number of weights.
    var count: Int { inner * columns }
    /// The panels, for int8 the scales and sums of the columns, for int4 the scales of the groups, and their
    /// low ends unless all of them are −8 times the scale.
    let panels: WeightBytes
    let scales: WeightBytes?
    let sums: WeightBytes?
    let lows: WeightBytes?

    var byteCount: Int {
        [scales, sums, lows].reduce(panels.count) { $0 + ($1?.count ?? 0) }
    }

    /// The number of columns of a panel.
    static let panelWidth = L2S_PANEL
    /// Inner steps that share a scale and a low end in int4.
    static let groupLength = L2S_GROUP

    /// Packs y = x · Wᵀ for weights as linear layers store them: rows [columns, inner].
    init(rows buffer: FloatBuffer, columns: Int, inner: Int, format: WeightFormat) {
        precondition(buffer.count == columns * inner, "\(buffer.count) for [\(columns), \(inner)]")
        let rows = buffer.base
        self.inner = inner
        self.columns = columns
        self.format = format
        let size = Self.size(inner: inner, columns: columns, format: format)
        let panels = WeightBytes(count: size.panels)
        self.panels = panels
        switch format {
        case .float32:
            l2s_pack_rows(rows, inner, columns, inner, panels.mutable(as: Float.self))
            (scales, sums, lows) = (nil, nil, nil)
        case .bfloat16:
            l2s_pack_rows_bf16(rows, inner, columns, inner, panels.mutable(as: UInt16.self))
            (scales, sums, lows) = (nil, nil, nil)
        case .int8:
            let scales = WeightBytes(count: size.scales)
            let sums = WeightBytes(count: size.scales)
            (self.scales, self.sums, lows) = (scales, sums, nil)
            packPanels(rows)
        case .int4:
            let scales = WeightBytes(count: size.scales)
            (self.scales, sums) = (scales, nil)
            var lows = [UInt16](repeating: 0, count: size.scales / 2)
            l2s_pack_rows_int4(
                rows, inner, columns, inner, panels.mutable(as: UInt8.self),
                scales.mutable(as: UInt16.self), &lows)
            self.lows = Self.kept(lows, beside: scales)
        }
    }

    /// Nil if all low ends are −8 times the scale, as in Q4_0: a tenth fewer bytes are read.
    private static func kept(_ lows: [UInt16], beside scales: WeightBytes) -> WeightBytes? {
        let steps = scales.start.assumingMemoryBound(to: Float16.self)
        let areImplied = lows.indices.allSatisfy {
            Float(Float16(bitPattern: lows[$0])) == -8 * Float(steps[$0])
        }
        guard !areImplied else { return nil }
        let kept = WeightBytes(count: 2 * lows.count)
        kept.mutable(as: UInt16.self).update(from: lows, count: lows.count)
        return kept
    }

    /// Packs the weights panel by panel, so that little is held twice.
    private func packPanels(_ rows: UnsafePointer<Float>) {
        guard let scales, let sums else { return }
        let spread = FloatBuffer(count: L2S_PANEL * inner)
        for first in stride(from: 0, to: columns, by: L2S_PANEL) {
            let count = min(L2S_PANEL, columns - first)
            spread.base.update(from: rows + first * inner, count: count * inner)
            if let block = hadamardBlock {
                Operators.spread(spread.rows(width: inner).rows(0..<count), over: block)
                spread.multiply(by: 1 / Float(block))
            }
            let before = Self.size(inner: inner, columns: first, format: format)
            l2s_pack_rows_int8(
                spread.base, inner, count, inner, panels.mutable(as: Int8.self) + before.panels,
                scales.mutable(as: Float.self) + first, sums.mutable(as: Float.self) + first)
        }
    }

    /// How many neighbouring inner steps of x and of the weights an int8 product takes through one
    /// Hadamard transform; nil for no transform.
    ///
    /// Single channels of some models' states are twenty times larger than the rest. A row's quants
    /// share one scale, which such a channel alone would determine. The transform spreads the
    /// channel over its block (QuaRot, arXiv 2404.00456). It is orthogonal, so the product stays
    /// the same.
    var hadamardBlock: Int? {
        format == .int8 ? [64, 32, 16].first { inner.isMultiple(of: $0) } : nil
    }

    /// The largest `roundingLoss` that a model's matrix may have: matrices that would lose more in
    /// int8 are held in bfloat16. Normally distributed weights lose 0.8 %, and the matrices of all
    /// models that were measured 0.6 to 0.9 % (`l2s inspect --rounding`).
    static let largestLoss = 0.02

    /// What rounding to int8 took from the weights: the root mean square of its error, divided by
    /// that of the weights. The error is taken as uniform within a step s, so its mean square is
    /// s²/12. Nil for other formats.
    var roundingLoss: Double? {
        guard format == .int8, let scales else { return nil }
        let steps = scales.start.assumingMemoryBound(to: Float.self)
        let quants = panels.start.assumingMemoryBound(to: Int8.self)
        let cell = 4 * L2S_PANEL
        let cells = (inner + 3) / 4
        var (error, square) = (0.0, 0.0)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: cell) { squares in
            for first in stride(from: 0, to: columns, by: L2S_PANEL) {
                squares.update(repeating: 0)
                for index in 0..<cells {
                    let quants = quants + (first * cells * 4 + index * cell)
                    for place in 0..<cell {
                        squares[place] += Float(quants[place]) * Float(quants[place])
                    }
                }
                for column in 0..<min(L2S_PANEL, columns - first) {
                    let own = Double(steps[first + column]) * Double(steps[first + column])
                    error += own * Double(inner) / 12
                    square += own * Double(squares[column * 4..<column * 4 + 4].reduce(0, +))
                }
            }
        }
        return square > 0 ? (error / square).squareRoot() : 0
    }

    /// A matrix of panels, scales and sums that were packed before.
    ///
    /// - Precondition: the sizes are `size(inner:columns:format:)`.
    init(
        inner: Int, columns: Int, format: WeightFormat, panels: WeightBytes, scales: WeightBytes?,
        sums: WeightBytes?, lows: WeightBytes?
    ) {
        self.inner = inner
        self.columns = columns
        self.format = format
        self.panels = panels
        self.scales = scales
        self.sums = sums
        self.lows = lows
    }

    /// The bytes of the panels, and the bytes of the scales. Sums and low ends
    /// take as many as scales.
    static func size(
        inner: Int, columns: Int, format: WeightFormat
    ) -> (panels: Int, scales: Int) {
        let panel = L2S_PANEL
        let padded = (columns + panel - 1) / panel * panel
        return switch format {
        case .float32: (padded * inner * 4, 0)
        case .bfloat16: (padded * ((inner + 1) / 2 * 4), 0)
        case .int8: (padded * ((inner + 3) / 4 * 4), padded * 4)
        case .int4: (padded * groups(inner) * groupLength / 2, padded * groups(inner) * 2)
        }
    }

    /// Groups of inner steps in int4; the last one is filled up.
    static func groups(_ inner: Int) -> Int { (inner + groupLength - 1) / groupLength }

    /// The columns of whole panels as a matrix of their own, over the same memory.
    ///
    /// - Precondition: `range` starts on a panel and ends on one or at the last column.
    func panels(_ range: Range<Int>) -> PackedMatrix {
        precondition(range.lowerBound % L2S_PANEL == 0, "columns \(range)")
        let before = Self.size(inner: inner, columns: range.lowerBound, format: format)
        return PackedMatrix(
            inner: inner, columns: range.count, format: format,
            panels: panels.dropping(before.panels), scales: scales?.dropping(before.scales),
            sums: sums?.dropping(before.scales), lows: lows?.dropping(before.scales))
    }

    /// Lends the matrix to a kernel.
    func withKernelView<R>(_ body: (UnsafePointer<l2s_matrix>) throws -> R) rethrows -> R {
        try withExtendedLifetime((panels, scales, sums, lows)) {
            let (ofColumns, ofGroups) = format == .int4 ? (nil, scales) : (scales, nil)
            var view = l2s_matrix(
                format: format.code, panels: panels.start,
                scales: ofColumns?.start.assumingMemoryBound(to: Float.self),
                sums: sums?.start.assumingMemoryBound(to: Float.self),
                group_scales: ofGroups?.start.assumingMemoryBound(to: UInt16.self),
                group_lows: lows?.start.assumingMemoryBound(to: UInt16.self))
            return try body(&view)
        }
    }
}

/// An immutable vector of weights: a norm's gain or a bias.
struct WeightVector: Sendable {
    let buffer: FloatBuffer
}
