internal import CKernels

extension PackedMatrix {
    /// The named columns, in the order given, as a matrix of their own with memory of its own.
    ///
    /// - Precondition: each is in 0 ..< self.columns.
    func gathering(_ chosen: [Int]) -> PackedMatrix {
        precondition(
            chosen.allSatisfy { (0..<columns).contains($0) }, "columns beyond \(columns)")
        let size = Self.size(inner: inner, columns: chosen.count, format: format)
        let gathered = PackedMatrix(
            inner: inner, columns: chosen.count, format: format,
            panels: WeightBytes(count: size.panels),
            scales: scales.map { _ in WeightBytes(count: size.columns) },
            sums: sums.map { _ in WeightBytes(count: size.columns) })
        // int8 keeps four rows of a column side by side: cells of as many bytes as one float.
        switch format {
        case .float32, .int8: gathered.copyCells(of: chosen, from: self, as: UInt32.self)
        case .bfloat16: gathered.copyCells(of: chosen, from: self, as: UInt16.self)
        }
        for (target, source) in [(gathered.scales, scales), (gathered.sums, sums)] {
            guard let target, let source else { continue }
            let floats = source.start.assumingMemoryBound(to: Float.self)
            for (column, old) in chosen.enumerated() {
                target.mutable(as: Float.self)[column] = floats[old]
            }
        }
        return gathered
    }

    private func copyCells<Cell>(of chosen: [Int], from source: PackedMatrix, as _: Cell.Type) {
        let panel = L2S_PANEL
        let rows = format == .int8 ? (inner + 3) / 4 : inner
        let old = source.panels.start.assumingMemoryBound(to: Cell.self)
        let new = panels.mutable(as: Cell.self)
        for (column, oldColumn) in chosen.enumerated() {
            let from = old + oldColumn / panel * panel * rows + oldColumn % panel
            let to = new + column / panel * panel * rows + column % panel
            for row in 0..<rows { to[row * panel] = from[row * panel] }
        }
    }
}
