internal import Checkpoints

/// The last matrix of a decoder. It turns hidden states into logits of the whole vocabulary, or of
/// a shortlist of it.
package final class OutputHead: Sendable {
    let weights: PackedMatrix
    /// Added to the logits; nil for nothing.
    private let bias: WeightVector?
    /// The first token of a response; unused where the prompt's last row takes its place.
    package let startID: Int32
    /// Each of these tokens ends a response.
    package let endIDs: [Int32]
    /// What the checkpoint forces on every response.
    let rules: GenerationRules
    /// The token of each column, ascending; nil where columns and tokens have the same numbers.
    private let shortlist: [Int32]?
    /// Logits become cap · tanh(logit / cap), which keeps their order.
    private let cap: Float?

    init(
        _ weights: PackedMatrix, bias: WeightVector? = nil, startID: Int32, endIDs: [Int32],
        rules: GenerationRules = .none, shortlist: [Int32]? = nil, cap: Float? = nil
    ) {
        self.weights = weights
        self.bias = bias
        self.rules = rules
        self.startID = startID
        self.endIDs = endIDs
        self.shortlist = shortlist
        self.cap = cap
    }

    /// The number of logits in a row.
    package var columns: Int { weights.columns }

    /// Checks that the embedding has a row for the start token and for every token that the head
    /// may write.
    ///
    /// - Throws: `InferenceError`.
    func checkVocabulary(_ embedding: EmbeddingTable, path: String) throws {
        guard (0..<embedding.rows).contains(Int(startID)) else {
            throw InferenceError.startOutsideVocabulary(
                path: path, token: startID, rows: embedding.rows)
        }
        guard columns <= embedding.rows else {
            throw InferenceError.widthMismatch(
                path: path, what: "the embedding of the head's vocabulary",
                expected: columns, found: embedding.rows)
        }
    }

    /// A head that computes only the logits of `tokens` and of the end tokens, from a copy of
    /// their weights.
    ///
    /// - Precondition: this head has the whole vocabulary, and every token is in it.
    package func restricted(to tokens: some Sequence<Int32>) -> OutputHead {
        precondition(shortlist == nil, "a shortlist of a shortlist")
        // In order, so that of equal logits the same token wins as over the whole vocabulary.
        let ends = endIDs.filter { column($0) != nil }
        let kept = Set(tokens).union(ends).sorted()
        let columns = kept.map(Int.init)
        return OutputHead(
            weights.gathering(columns), bias: bias?.gathering(columns), startID: startID,
            endIDs: endIDs, rules: rules, shortlist: kept, cap: cap)
    }

    /// The same head for responses that begin in another way.
    ///
    /// - Parameters:
    ///   - startID: the start token; nil for the head's own.
    ///   - firstID: the first token of every response; nil for the token that the checkpoint
    ///     forces.
    package func beginning(startID: Int32? = nil, firstID: Int32? = nil) -> OutputHead {
        var rules = self.rules
        rules.firstID = firstID ?? rules.firstID
        return OutputHead(
            weights, bias: bias, startID: startID ?? self.startID, endIDs: endIDs, rules: rules,
            shortlist: shortlist, cap: cap)
    }

    /// The token with which the checkpoint ends a response that reaches its limit; nil for none.
    package var forcedLastID: Int32? { rules.lastID }

    func token(_ column: Int) -> Int32 { shortlist?[column] ?? Int32(column) }

    /// The column of a token; nil for a token that the shortlist leaves out, and for an end token
    /// beyond the vocabulary.
    private func column(_ token: Int32) -> Int? {
        guard let shortlist else {
            return (0..<columns).contains(Int(token)) ? Int(token) : nil
        }
        var range = shortlist.indices
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if shortlist[middle] == token { return middle }
            range =
                shortlist[middle] < token
                ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }

    /// hidden [rows, width] → logits [rows, columns]
    func logits(_ hidden: Rows, into logits: Rows, workspace: Workspace) {
        Operators.multiply(hidden, weights, into: logits, bias: bias, workspace: workspace)
        if let cap { Operators.softCap(logits, cap: cap) }
    }

    /// Makes tokens impossible in one row of logits.
    func forbid(_ tokens: [Int32], in row: Rows) {
        for token in tokens { column(token).map { row[0][$0] = -.infinity } }
    }

    /// The most likely token of each row, without writing the logits out: a slice of the
    /// vocabulary that stays in the cache is computed and scanned at a time.
    ///
    /// - Parameter forbidden: per row, the tokens that are passed over.
    /// - Returns: a token per row; nil where every token is forbidden.
    func best(_ hidden: Rows, forbidden: [[Int32]], workspace: Workspace) -> [Int32?] {
        let panel = PackedMatrix.panelWidth
        // 256 KB of logits, in whole panels.
        let slice = max(65_536 / max(hidden.count, 1) / panel, 1) * panel
        let forbidden = forbidden.map { $0.compactMap(column) }
        var best = [(column: Int?, logit: Float)](
            repeating: (nil, -.infinity), count: hidden.count)
        workspace.scope {
            let logits = workspace.rows(hidden.count, slice)
            for first in stride(from: 0, to: columns, by: slice) {
                let own = first..<min(first + slice, columns)
                let part = logits.columns(0..<own.count)
                Operators.multiply(
                    hidden, weights.panels(own), into: part, bias: bias,
                    biasStart: first, workspace: workspace)
                for row in 0..<hidden.count {
                    for column in forbidden[row] where own.contains(column) {
                        part[row][column - first] = -.infinity
                    }
                    let logit = Operators.highest(part[row], count: own.count)
                    if logit > best[row].logit {
                        let index = Operators.argmax(part[row], count: own.count)
                        best[row] = (first + index, logit)
                    }
                }
            }
        }
        return best.map { $0.column.map(token) }
    }
}
