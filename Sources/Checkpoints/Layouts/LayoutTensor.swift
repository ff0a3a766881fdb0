/// A tensor that a model has: the name that checkpoints give it, its shape, and what it is for.
package struct LayoutTensor: Sendable, Equatable {
    package enum Role: Sendable {
        /// A vector for each token or position.
        case embedding
        /// The weights of a linear layer.
        case matrix
        /// The weights of a linear layer whose outputs are queries, in a model that does not divide
        /// attention scores by the root of the head width.
        case unscaledQuery
        /// The weights of a linear layer whose outputs are added to its block's inputs.
        case residual
        /// Biases of attention scores, by distance.
        case distanceBiases
        /// What a norm multiplies by.
        case norm
        /// What a norm or a linear layer adds.
        case bias
    }

    package let name: String
    package let shape: [Int]
    package let role: Role

    init(_ name: String, _ shape: [Int], _ role: Role) {
        self.name = name
        self.shape = shape
        self.role = role
    }
}

extension WeightFile {
    /// - Throws: `CheckpointError` when the tensor is missing or of another shape.
    package func tensor(_ tensor: LayoutTensor) throws -> StoredTensor {
        try self.tensor(tensor.name, shape: tensor.shape)
    }
}
