/// What a decoder computes and reads to write one token.
package struct StepCost: Sendable, Equatable {
    /// The multiplications and additions: two per weight, and those of attention.
    package private(set) var operations = 0.0
    /// Bytes of weights, which are read once for all documents of a batch. Norms and biases are left
    /// out: they are less than a thousandth.
    package private(set) var weightBytes = 0.0
    /// Bytes of keys and values, of which each document has its own.
    package private(set) var cacheBytes = 0.0

    /// Bytes that are read when one document is written at a time.
    package var bytes: Double { weightBytes + cacheBytes }

    /// - Parameter positions: the positions that each layer attends to, in all its attentions
    ///   together.
    init(
        matrices: [PackedMatrix], layers: Int, width: Int, positions: Int, cacheFormat: WeightFormat
    ) {
        for matrix in matrices {
            operations += 2 * Double(matrix.count)
            weightBytes += Double(matrix.byteCount)
        }
        // Queries times keys, and their softmax times values.
        let elements = 2 * Double(layers * width * positions)
        operations += 2 * elements
        cacheBytes += elements * cacheFormat.bytesPerElement
    }
}

extension WeightFormat {
    fileprivate var bytesPerElement: Double {
        switch self {
        case .float32: 4
        case .bfloat16: 2
        case .int8: 1
        case .int4: 0.5
        }
    }
}
