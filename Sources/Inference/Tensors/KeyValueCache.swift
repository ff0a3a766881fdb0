internal import CKernels

/// Keys and values of one sequence in every layer of a decoder.
///
/// Laid out for the read of one query row: per layer and head, keys as a packed matrix
/// [headWidth → capacity], values [capacity, headWidth].
final class KeyValueCache {
    let heads: Int
    let headWidth: Int
    /// Positions, a multiple of the kernels' panel.
    let capacity: Int
    /// float32 or bfloat16.
    let format: WeightFormat
    private let layers: Int
    private let buffer: FloatBuffer

    init(layers: Int, heads: Int, headWidth: Int, positions: Int, format: WeightFormat) {
        let panel = L2S_PANEL
        self.layers = layers
        self.heads = heads
        self.headWidth = headWidth
        self.format = format
        capacity = (max(positions, 1) + panel - 1) / panel * panel
        let elements = 2 * layers * heads * capacity * headWidth
        buffer = FloatBuffer(count: format == .bfloat16 ? elements / 2 : elements)
    }

    private var layerBytes: Int { heads * headBytes }
    private var headBytes: Int { capacity * headWidth * (format == .bfloat16 ? 2 : 4) }

    func keys(_ layer: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(buffer.base) + 2 * layer * layerBytes
    }

    func values(_ layer: Int) -> UnsafeMutableRawPointer { keys(layer) + layerBytes }

    /// Writes one position. key, value: [heads · headWidth].
    func set(
        _ position: Int, layer: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>
    ) {
        precondition(position < capacity, "position \(position) of \(capacity)")
        let size = heads * headWidth
        if format == .bfloat16 {
            withUnsafeTemporaryAllocation(of: UInt16.self, capacity: 2 * size) { halves in
                guard let start = halves.baseAddress else { return }
                l2s_to_bf16(key, size, start)
                l2s_to_bf16(value, size, start + size)
                place(start, start + size, at: position, layer: layer)
            }
        } else {
            place(key, value, at: position, layer: layer)
        }
    }

    private func place<Element: BitwiseCopyable>(
        _ key: UnsafePointer<Element>, _ value: UnsafePointer<Element>, at position: Int, layer: Int
    ) {
        let panel = L2S_PANEL
        for head in 0..<heads {
            let column =
                (keys(layer) + head * headBytes).assumingMemoryBound(to: Element.self)
                + position / panel * panel * headWidth + position % panel
            for index in 0..<headWidth { column[index * panel] = key[head * headWidth + index] }
            let row =
                (values(layer) + head * headBytes).assumingMemoryBound(to: Element.self)
                + position * headWidth
            row.update(from: value + head * headWidth, count: headWidth)
        }
    }

    /// Writes positions 0 ..< key.count. key, value: [positions, heads · headWidth].
    func setAll(layer: Int, key: Rows, value: Rows) {
        precondition(key.count <= capacity, "\(key.count) positions of \(capacity)")
        for head in 0..<heads {
            let ownKeys = keys(layer) + head * headBytes
            let ownValues = values(layer) + head * headBytes
            let first = head * headWidth
            if format == .bfloat16 {
                l2s_pack_rows_bf16(
                    key.base + first, key.stride, key.count, headWidth,
                    ownKeys.assumingMemoryBound(to: UInt16.self))
                let rows = ownValues.assumingMemoryBound(to: UInt16.self)
                for position in 0..<value.count {
                    l2s_to_bf16(value[position] + first, headWidth, rows + position * headWidth)
                }
            } else {
                l2s_pack_rows(
                    key.base + first, key.stride, key.count, headWidth,
                    ownKeys.assumingMemoryBound(to: Float.self))
                let rows = ownValues.assumingMemoryBound(to: Float.self)
                for position in 0..<value.count {
                    (rows + position * headWidth).update(
                        from: value[position] + first, count: headWidth)
                }
            }
        }
    }

    func copy() -> KeyValueCache {
        let other = KeyValueCache(
            layers: layers, heads: heads, headWidth: headWidth, positions: capacity,
            format: format)
        other.buffer.base.update(from: buffer.base, count: buffer.count)
        return other
    }
}

extension WeightFormat {
    /// Compact weights come with compact caches: half the bytes that a step reads.
    var cacheFormat: WeightFormat { self == .float32 ? .float32 : .bfloat16 }
}
