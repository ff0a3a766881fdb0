internal import Checkpoints

/// Where layers get their weights: a checkpoint, whose matrices are packed in the wanted format
/// while they are read, with every shape checked.
struct WeightLoader {
    let weights: WeightFile
    let format: WeightFormat

    func contains(_ name: String) -> Bool { weights.contains(name) }

    /// Linear layers side by side: y = x · Wᵀ of each. All shapes are [columns, inner].
    func matrix(_ names: [String], shape: [Int?], scale: Float = 1) throws -> PackedMatrix {
        let tensors = try names.map { try weights.tensor($0, shape: shape) }
        return matrix(stacking: tensors, scale: scale)
    }

    func matrix(_ name: String, shape: [Int?]) throws -> PackedMatrix {
        try matrix([name], shape: shape)
    }

    /// `scale` multiplies every weight.
    func matrix(stacking tensors: [StoredTensor], scale: Float = 1) -> PackedMatrix {
        let inner = tensors[0].shape[1]
        let columns = tensors.reduce(0) { $0 + $1.shape[0] }
        let rows = FloatBuffer(count: columns * inner)
        var filled = 0
        for tensor in tensors {
            rows.withFloats {
                tensor.read(
                    into: UnsafeMutableBufferPointer(rebasing: $0[filled...].prefix(tensor.count)))
            }
            filled += tensor.count
        }
        rows.multiply(by: scale)
        return PackedMatrix(rows: rows, columns: columns, inner: inner, format: format)
    }

    /// A linear layer stored [inner, columns], as GPT-2 does.
    func transposed(_ name: String, shape: [Int?]) throws -> PackedMatrix {
        let tensor = try weights.tensor(name, shape: shape)
        let (inner, columns) = (tensor.shape[0], tensor.shape[1])
        let stored = FloatBuffer(count: tensor.count)
        stored.withFloats { tensor.read(into: $0) }
        return PackedMatrix(
            rows: stored.transposed(columns: columns), columns: columns, inner: inner,
            format: format)
    }

    func vector(_ name: String, count: Int) throws -> WeightVector {
        WeightVector(buffer: try table(name, shape: [count]))
    }

    /// Weights that stay as they are, in float32.
    func table(_ name: String, shape: [Int]) throws -> FloatBuffer {
        let tensor = try weights.tensor(name, shape: shape)
        let buffer = FloatBuffer(count: tensor.count)
        buffer.withFloats { tensor.read(into: $0) }
        return buffer
    }
}
