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
    private let layers: Int
    private let buffer: FloatBuffer

    init(layers: Int, heads: Int, headWidth: Int, positions: Int) {
        let panel = L2S_PANEL
        self.layers = layers
        self.heads = heads
        self.headWidth = headWidth
        capacity = (max(positions, 1) + panel - 1) / panel * panel
        buffer = FloatBuffer(count: 2 * layers * heads * capacity * headWidth)
    }

    private var layerCount: Int { heads * capacity * headWidth }

    func keys(_ layer: Int) -> UnsafeMutablePointer<Float> {
        buffer.base + 2 * layer * layerCount
    }

    func values(_ layer: Int) -> UnsafeMutablePointer<Float> {
        keys(layer) + layerCount
    }

    /// Writes one position. key, value: [heads · headWidth].
    func set(
        _ position: Int, layer: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>
    ) {
        precondition(position < capacity, "position \(position) of \(capacity)")
        let panel = L2S_PANEL
        for head in 0..<heads {
            let first = keys(layer) + head * capacity * headWidth
            let column = first + position / panel * panel * headWidth + position % panel
            for index in 0..<headWidth {
                column[index * panel] = key[head * headWidth + index]
            }
            (values(layer) + (head * capacity + position) * headWidth)
                .update(from: value + head * headWidth, count: headWidth)
        }
    }

    /// Writes positions 0 ..< key.count. key, value: [positions, heads · headWidth].
    func setAll(layer: Int, key: Rows, value: Rows) {
        precondition(key.count <= capacity, "\(key.count) positions of \(capacity)")
        for head in 0..<heads {
            let offset = head * capacity * headWidth
            l2s_pack_rows(
                key.base + head * headWidth, key.stride, key.count, headWidth,
                keys(layer) + offset)
            for position in 0..<value.count {
                (values(layer) + offset + position * headWidth)
                    .update(from: value[position] + head * headWidth, count: headWidth)
            }
        }
    }

    func copy() -> KeyValueCache {
        let other = KeyValueCache(
            layers: layers, heads: heads, headWidth: headWidth, positions: capacity)
        other.buffer.base.update(from: buffer.base, count: buffer.count)
        return other
    }
}
