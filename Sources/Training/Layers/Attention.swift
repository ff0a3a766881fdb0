internal import Inference

/// softmax(q kᵀ · scale + bias) v of every head, each document's queries with its own keys.
struct Attention {
    /// The heads of queries.
    let heads: Int
    let headWidth: Int
    var scale: Float = 1
    /// Whether a query attends only to keys up to its own. The queries belong to the last keys of
    /// their document; keys before those, of a prompt, are attended to by all queries.
    var isCausal = false
    /// Neighbouring heads of queries that share a head of keys and values.
    var group = 1

    /// Queries [tokens, heads · headWidth], keys and values [tokens, heads / group · headWidth] of
    /// documents below each other.
    struct Operands {
        let queries: Rows
        let keys: Rows
        let values: Rows
    }

    struct Documents {
        let queries: [Range<Int>]
        let keys: [Range<Int>]
    }

    /// Per document and head [queries, keys], one after the other.
    struct Probabilities {
        fileprivate let rows: Rows
        fileprivate let place: UInt64
    }

    func forward(
        _ operands: Operands, _ documents: Documents, bias: RelativeBiases?, into mixed: Rows,
        _ tape: Tape
    ) -> Probabilities {
        let total = zip(documents.queries, documents.keys).reduce(0) {
            $0 + heads * $1.0.count * $1.1.count
        }
        let saved = Probabilities(rows: tape.rows(1, total), place: tape.dropout.place())
        eachHead(documents, saved) { part, scores in
            tape.multiply(
                operands.queries.rows(part.queries).columns(part.columns), .plain,
                operands.keys.rows(part.keys).columns(part.shared), .transposed, into: scores)
            Gradients.softmax(
                scores, scale: scale, bias: bias?.values(head: part.head), isCausal: isCausal)
            tape.workspace.scope {
                tape.multiply(
                    dropped(scores, saved, part.first, tape), .plain,
                    operands.values.rows(part.keys).columns(part.shared), .plain,
                    into: mixed.rows(part.queries).columns(part.columns))
            }
        }
        return saved
    }

    /// Writes the gradients of queries, keys and values.
    func backward(
        _ operands: Operands, _ documents: Documents, _ saved: Probabilities,
        bias: RelativeBiases?, from gradient: Rows, into result: Operands, _ tape: Tape
    ) {
        eachHead(documents, saved) { part, probabilities in
            tape.workspace.scope {
                // The first of the heads that share keys writes their gradient, the others add.
                let adds = part.head % group != 0
                let outer = gradient.rows(part.queries).columns(part.columns)
                tape.multiply(
                    dropped(probabilities, saved, part.first, tape), .transposed, outer, .plain,
                    into: result.values.rows(part.keys).columns(part.shared), accumulate: adds)
                let scores = tape.rows(part.queries.count, part.keys.count)
                tape.multiply(
                    outer, .plain, operands.values.rows(part.keys).columns(part.shared),
                    .transposed, into: scores)
                tape.dropout.apply(scores, place: saved.place, first: part.first, into: scores)
                Gradients.softmaxBackward(probabilities, scores, scale: scale)
                bias?.add(scores, head: part.head)
                tape.multiply(
                    scores, .plain, operands.keys.rows(part.keys).columns(part.shared), .plain,
                    into: result.queries.rows(part.queries).columns(part.columns))
                tape.multiply(
                    scores, .transposed,
                    operands.queries.rows(part.queries).columns(part.columns), .plain,
                    into: result.keys.rows(part.keys).columns(part.shared), accumulate: adds)
            }
        }
    }

    /// One head of one document.
    private struct Part {
        let queries: Range<Int>
        let keys: Range<Int>
        let head: Int
        /// The head's columns in the queries; `shared` are its columns in keys and values.
        let columns: Range<Int>
        let shared: Range<Int>
        /// Where its probabilities begin.
        let first: Int
    }

    private func eachHead(
        _ documents: Documents, _ saved: Probabilities, _ body: (Part, _ scores: Rows) -> Void
    ) {
        var first = 0
        for (queries, keys) in zip(documents.queries, documents.keys) {
            for head in 0..<heads {
                let scores = Rows(
                    base: saved.rows.base + first, count: queries.count, width: keys.count,
                    stride: keys.count)
                let shared = head / group
                body(
                    Part(
                        queries: queries, keys: keys, head: head,
                        columns: head * headWidth..<(head + 1) * headWidth,
                        shared: shared * headWidth..<(shared + 1) * headWidth, first: first),
                    scores)
                first += queries.count * keys.count
            }
        }
    }

    private func dropped(
        _ probabilities: Rows, _ saved: Probabilities, _ first: Int, _ tape: Tape
    ) -> Rows {
        guard tape.dropout.isActive else { return probabilities }
        let result = tape.rows(probabilities.count, probabilities.width)
        tape.dropout.apply(probabilities, place: saved.place, first: first, into: result)
        return result
    }
}
