internal import Checkpoints

/// Token vectors, read row by row from the mapped checkpoint: the table itself is never copied.
struct EmbeddingTable: Sendable {
    private let tensor: StoredTensor
    /// Every vector is multiplied by it.
    private let scale: Float

    /// - Precondition: `tensor` is [rows, width].
    init(_ tensor: StoredTensor, scale: Float = 1) {
        self.tensor = tensor
        self.scale = scale
    }

    var rows: Int { tensor.shape[0] }
    var width: Int { tensor.shape[1] }

    /// Writes the vector of each token to one row of `target`.
    ///
    /// - Precondition: each token is in 0 ..< rows.
    func gather(_ tokens: some Collection<Int32>, into target: Rows) {
        for (row, token) in tokens.enumerated() {
            precondition(token >= 0 && token < rows, "token \(token) of \(rows)")
            let start = Int(token) * width
            tensor.read(
                start..<start + width,
                into: UnsafeMutableBufferPointer(start: target[row], count: width))
            guard scale != 1 else { continue }
            for column in 0..<width { target[row][column] *= scale }
        }
    }
}
