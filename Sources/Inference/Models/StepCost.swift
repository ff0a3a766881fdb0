/// What a decoder computes and reads to write one token.
package struct StepCost: Sendable, Equatable {
    /// The multiplications and additions: two per weight, and those of attention.
    package private(set) var operations = 0.0
    /// Bytes of weights, keys and values that are read when one document is written at a time.
    /// Norms and biases are left out: they are less than a thousandth.
    package private(set) var bytes = 0.0

    /// - Parameter positions: the positions that each layer attends to, in all its attentions
    ///   together.
    init(
        matrices: [PackedMatrix], layers: Int, width: Int, positions: Int, cacheFormat: WeightFormat
    ) {
        for matrix in matrices {
            operations += 2 * Double(matrix.count)
            bytes += Double(matrix.byteCount)
        }
        // Queries times keys, and their softmax times values.
        let elements = 2 * Double(layers * width * positions)
        operations += 2 * elements
        bytes += elements * cacheFormat.bytesPerElement
    }
}

extension WeightFormat {
    fileprivate var bytesPerElement: Double {
        switch self {
        case .float32: 4
        case .bfloat16: 2
        case .int8: 1
        }
    }
}
