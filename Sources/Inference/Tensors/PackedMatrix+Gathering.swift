internal import CKernels

extension WeightVector {
    /// The chosen elements, in the order given.
    func gathering(_ chosen: [Int]) -> WeightVector {
        let gathered = FloatBuffer(count: chosen.count)
        for (index, element) in chosen.enumerated() {
            gathered.base[index] = buffer.base[element]
        }
        return WeightVector(buffer: gathered)
    }
}

extension PackedMatrix {
    /// The chosen columns, in the order given, as a matrix with memory of its own.
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
        gathered.copyCells(of: chosen, from: self)
        for (target, source) in [(gathered.scales, scales), (gathered.sums, sums)] {
            guard let target, let source else { continue }
            let floats = source.start.assumingMemoryBound(to: Float.self)
            for (column, old) in chosen.enumerated() {
                target.mutable(as: Float.self)[column] = floats[old]
            }
        }
        return gathered
    }

    private var stepsPerCell: Int {
        switch format {
        case .float32: 1
        case .bfloat16: 2
        case .int8: 4
        }
    }

    private func copyCells(of chosen: [Int], from source: PackedMatrix) {
        let panel = L2S_PANEL
        // A cell is one float, two steps of bfloat16 or four of int8.
        let rows = (inner + stepsPerCell - 1) / stepsPerCell
        let old = source.panels.start.assumingMemoryBound(to: UInt32.self)
        let new = panels.mutable(as: UInt32.self)
        for (column, oldColumn) in chosen.enumerated() {
            let from = old + oldColumn / panel * panel * rows + oldColumn % panel
            let to = new + column / panel * panel * rows + column % panel
            for row in 0..<rows { to[row * panel] = from[row * panel] }
        }
    }
}
