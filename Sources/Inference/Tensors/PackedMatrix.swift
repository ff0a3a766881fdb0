internal import CKernels
internal import Checkpoints

/// An immutable weight matrix, y = x · W, packed once for the matrix kernels.
struct PackedMatrix: Sendable {
    /// Width of x.
    let inner: Int
    /// Width of y.
    let columns: Int
    let buffer: FloatBuffer

    /// Stacks weights [columns, inner] as linear layers store them: y = x · Wᵀ of each, side by
    /// side. `scale` multiplies every weight.
    init(stacking tensors: [StoredTensor], scale: Float = 1) {
        inner = tensors[0].shape[1]
        columns = tensors.reduce(0) { $0 + $1.shape[0] }
        let rows = FloatBuffer(count: columns * inner)
        var filled = 0
        for tensor in tensors {
            tensor.read(
                into: UnsafeMutableBufferPointer(start: rows.base + filled, count: tensor.count))
            filled += tensor.count
        }
        if scale != 1 {
            for index in 0..<rows.count { rows.base[index] *= scale }
        }
        buffer = FloatBuffer(count: l2s_packed_count(inner, columns))
        l2s_pack_rows(rows.base, inner, columns, inner, buffer.base)
    }

    /// Packs a weight stored [inner, columns], as GPT-2 does.
    init(transposed tensor: StoredTensor) {
        inner = tensor.shape[0]
        columns = tensor.shape[1]
        let stored = FloatBuffer(count: tensor.count)
        stored.withFloats { tensor.read(into: $0) }
        buffer = FloatBuffer(count: l2s_packed_count(inner, columns))
        l2s_pack_columns(stored.base, columns, inner, columns, buffer.base)
    }
}

/// An immutable vector of weights: a norm's gain or a bias.
struct WeightVector: Sendable {
    let buffer: FloatBuffer

    init(_ tensor: StoredTensor) {
        buffer = FloatBuffer(count: tensor.count)
        buffer.withFloats { tensor.read(into: $0) }
    }
}
