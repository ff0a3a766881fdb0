internal import CKernels

/// Keys and values of one sequence in every layer of a decoder, laid out for products with query
/// rows: see `l2s_cache` in CKernels.h.
///
/// `@unchecked Sendable`: threads may share a cache without a `CacheMemory` once it is no longer
/// written to; the others belong to one replica.
final class KeyValueCache: @unchecked Sendable {
    /// The heads of keys and values, which several heads of queries may share.
    let heads: Int
    let headWidth: Int
    /// Positions, a multiple of the kernels' panel.
    let capacity: Int
    let format: WeightFormat
    let layers: Int
    /// Per layer keys, values and, in int8, one scale for each key and value of each head.
    private let buffer: FloatBuffer
    private let memory: CacheMemory?
    private let keyBytes: Int
    private let valueBytes: Int
    private let layerBytes: Int

    /// - Parameter memory: lends the cache its memory, and gets it back when the cache ends; nil
    ///   for memory of its own.
    /// - Precondition: `format` is not int4, which is for weights only.
    init(
        layers: Int, heads: Int, headWidth: Int, positions: Int, format: WeightFormat,
        memory: CacheMemory?
    ) {
        precondition(format != .int4, "a cache of int4")
        let panel = L2S_PANEL
        self.layers = layers
        self.heads = heads
        self.headWidth = headWidth
        self.format = format
        capacity = (max(positions, 1) + panel - 1) / panel * panel
        var shape = l2s_cache()
        (shape.format, shape.heads) = (format.code, heads)
        (shape.head_width, shape.capacity) = (headWidth, capacity)
        keyBytes = l2s_cache_key_bytes(&shape)
        valueBytes = l2s_cache_value_bytes(&shape)
        layerBytes = keyBytes + valueBytes + l2s_cache_scale_bytes(&shape)
        // Undefined contents do no harm: positions are written before they are read.
        let floats = layers * layerBytes / 4
        buffer = memory?.take(floats) ?? FloatBuffer(uninitialized: floats)
        self.memory = memory
    }

    deinit { memory?.giveBack(buffer) }

    /// Lends a layer to a kernel.
    func withKernelView<R>(_ layer: Int, _ body: (UnsafePointer<l2s_cache>) -> R) -> R {
        precondition((0..<layers).contains(layer), "layer \(layer) of \(layers)")
        return withExtendedLifetime(buffer) {
            let keys = UnsafeMutableRawPointer(buffer.base) + layer * layerBytes
            let scales = keys + keyBytes + valueBytes
            let keyScales = scales.assumingMemoryBound(to: Float.self)
            var view = l2s_cache(
                format: format.code, heads: heads, head_width: headWidth, capacity: capacity,
                keys: keys, values: keys + keyBytes, key_scales: keyScales,
                value_scales: keyScales + heads * capacity)
            return body(&view)
        }
    }

    /// Writes one position. key, value: [heads · headWidth].
    func set(
        _ position: Int, layer: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>
    ) {
        precondition(position < capacity, "position \(position) of \(capacity)")
        Operators.remember(
            self, layer: layer, positions: position..<position + 1, key: key, value: value,
            stride: 0)
    }

    /// Writes positions 0 ..< key.count. key, value: [positions, heads · headWidth].
    func setAll(layer: Int, key: Rows, value: Rows) {
        set(0, layer: layer, key: key, value: value)
    }

    /// Writes key.count positions, the first at `position`. key, value: [positions, heads ·
    /// headWidth].
    func set(_ position: Int, layer: Int, key: Rows, value: Rows) {
        let positions = position..<position + key.count
        precondition(positions.upperBound <= capacity, "positions \(positions) of \(capacity)")
        Operators.remember(
            self, layer: layer, positions: positions, key: key.base, value: value.base,
            stride: key.stride)
    }

    /// The bytes of its keys, values and scales.
    var byteCount: Int { layers * layerBytes }

    /// Takes over the first `count` positions of a layer of another cache, which has the same heads
    /// and format.
    func copy(_ count: Int, layer: Int, from other: KeyValueCache, layer otherLayer: Int) {
        precondition(
            other.heads == heads && other.headWidth == headWidth && other.format == format
                && count <= min(capacity, other.capacity),
            "\(count) positions of \(other.heads) heads of \(other.headWidth)")
        withKernelView(layer) { target in
            other.withKernelView(otherLayer) { l2s_cache_copy(target, $0, count) }
        }
    }

    /// A cache of the same size with the first `count` positions. The others are not copied,
    /// because most of a long cache is still empty.
    func copy(of count: Int) -> KeyValueCache {
        let other = KeyValueCache(
            layers: layers, heads: heads, headWidth: headWidth, positions: capacity,
            format: format, memory: memory)
        for layer in 0..<layers { other.copy(count, layer: layer, from: self, layer: layer) }
        return other
    }
}
