/// The last matrix of a decoder: hidden states to logits over the vocabulary.
package struct OutputHead: Sendable {
    private let weights: PackedMatrix
    /// The first token of a response; unused where the prompt's last row takes its place.
    package let startID: Int32
    /// Any of these ends a response.
    package let endIDs: [Int32]

    init(_ weights: PackedMatrix, startID: Int32, endIDs: [Int32]) {
        self.weights = weights
        self.startID = startID
        self.endIDs = endIDs
    }

    package var vocabularySize: Int { weights.columns }

    /// What the head writes is looked up in the embedding.
    func checkVocabulary(_ embedding: EmbeddingTable, path: String) throws {
        guard vocabularySize <= embedding.rows else {
            throw InferenceError.widthMismatch(
                path: path, what: "the embedding of the head's vocabulary",
                expected: vocabularySize, found: embedding.rows)
        }
    }

    /// hidden [rows, width] → logits [rows, vocabularySize]
    func logits(_ hidden: Rows, into logits: Rows, workspace: Workspace) {
        Operators.multiply(hidden, weights, into: logits, workspace: workspace)
    }

    /// The most likely token of each row, without writing the logits out: a slice of the
    /// vocabulary that stays in the cache is computed and scanned at a time.
    ///
    /// - Parameter mayEnd: per row; end tokens are passed over where false.
    func best(_ hidden: Rows, mayEnd: [Bool], workspace: Workspace) -> [Int32] {
        let slice = 1_024
        var best = [(token: Int32, logit: Float)](
            repeating: (0, -.infinity), count: hidden.count)
        workspace.scope {
            let logits = workspace.rows(hidden.count, slice)
            for first in stride(from: 0, to: weights.columns, by: slice) {
                let own = first..<min(first + slice, weights.columns)
                let part = logits.columns(0..<own.count)
                Operators.multiply(
                    hidden, weights.panels(own), into: part, workspace: workspace)
                for row in 0..<hidden.count {
                    if !mayEnd[row] {
                        for id in endIDs where own.contains(Int(id)) {
                            part[row][Int(id) - first] = -.infinity
                        }
                    }
                    let index = Operators.argmax(part[row], count: own.count)
                    if part[row][index] > best[row].logit {
                        best[row] = (Int32(first + index), part[row][index])
                    }
                }
            }
        }
        return best.map(\.token)
    }
}
