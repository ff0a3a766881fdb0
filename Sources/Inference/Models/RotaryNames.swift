package import Checkpoints

/// Names of tensors in checkpoints of the families with rotary positions.
extension WeightFile {
    /// Token vectors, [rows, width].
    package func rotaryEmbedding(width: Int) throws -> StoredTensor {
        try tensor("model.embed_tokens.weight", shape: [nil, width])
    }
}
