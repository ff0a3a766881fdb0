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
            scales: scales.map { _ in WeightBytes(count: size.scales) },
            sums: sums.map { _ in WeightBytes(count: size.scales) },
            lows: lows.map { _ in WeightBytes(count: size.scales) })
        // A cell is one float, two steps of bfloat16, four of int8 or eight of int4.
        panels.copy(UInt32.self, of: chosen, to: gathered.panels)
        switch format {
        case .float32, .bfloat16: break
        case .int8:
            scales?.copy(Float.self, of: chosen, to: gathered.scales)
            sums?.copy(Float.self, of: chosen, to: gathered.sums)
        case .int4:
            scales?.copy(UInt16.self, of: chosen, to: gathered.scales)
            lows?.copy(UInt16.self, of: chosen, to: gathered.lows)
        }
        return gathered
    }
}

extension WeightBytes {
    /// Copies columns' elements, which lie in panels of [rows][32].
    fileprivate func copy<Element>(
        _ type: Element.Type, of chosen: [Int], to target: WeightBytes?
    ) {
        guard let target, !chosen.isEmpty else { return }
        let panel = L2S_PANEL
        let panels = (chosen.count + panel - 1) / panel
        let rows = target.count / (panels * panel * MemoryLayout<Element>.stride)
        let old = start.assumingMemoryBound(to: Element.self)
        let new = target.mutable(as: Element.self)
        for (column, oldColumn) in chosen.enumerated() {
            let from = old + oldColumn / panel * panel * rows + oldColumn % panel
            let to = new + column / panel * panel * rows + column % panel
            for row in 0..<rows { to[row * panel] = from[row * panel] }
        }
    }
}
