internal import Inference

/// softmax(q kᵀ · scale + bias) v of every head, each document's queries with its own keys.
struct Attention {
    let heads: Int
    let headWidth: Int
    var scale: Float = 1
    var isCausal = false

    /// Queries, keys and values [tokens, heads · headWidth] of documents below each other.
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
        eachHead(documents, saved) { queries, keys, columns, head, first, scores in
            Products.multiply(
                operands.queries.rows(queries).columns(columns), .plain,
                operands.keys.rows(keys).columns(columns), .transposed, into: scores)
            Gradients.softmax(
                scores, scale: scale, bias: bias?.values(head: head), isCausal: isCausal)
            tape.workspace.scope {
                Products.multiply(
                    dropped(scores, saved, first, tape), .plain,
                    operands.values.rows(keys).columns(columns), .plain,
                    into: mixed.rows(queries).columns(columns))
            }
        }
        return saved
    }

    /// Writes the gradients of queries, keys and values.
    func backward(
        _ operands: Operands, _ documents: Documents, _ saved: Probabilities,
        bias: RelativeBiases?, from gradient: Rows, into result: Operands, _ tape: Tape
    ) {
        eachHead(documents, saved) { queries, keys, columns, head, first, probabilities in
            tape.workspace.scope {
                let outer = gradient.rows(queries).columns(columns)
                Products.multiply(
                    dropped(probabilities, saved, first, tape), .transposed, outer, .plain,
                    into: result.values.rows(keys).columns(columns))
                let scores = tape.rows(queries.count, keys.count)
                Products.multiply(
                    outer, .plain, operands.values.rows(keys).columns(columns), .transposed,
                    into: scores)
                tape.dropout.apply(scores, place: saved.place, first: first, into: scores)
                Gradients.softmaxBackward(probabilities, scores, scale: scale)
                bias?.add(scores, head: head)
                Products.multiply(
                    scores, .plain, operands.keys.rows(keys).columns(columns), .plain,
                    into: result.queries.rows(queries).columns(columns))
                Products.multiply(
                    scores, .transposed, operands.queries.rows(queries).columns(columns), .plain,
                    into: result.keys.rows(keys).columns(columns))
            }
        }
    }

    private func eachHead(
        _ documents: Documents, _ saved: Probabilities,
        _ body: (
            _ queries: Range<Int>, _ keys: Range<Int>, _ columns: Range<Int>, _ head: Int,
            _ first: Int, _ scores: Rows
        ) -> Void
    ) {
        var first = 0
        for (queries, keys) in zip(documents.queries, documents.keys) {
            for head in 0..<heads {
                let scores = Rows(
                    base: saved.rows.base + first, count: queries.count, width: keys.count,
                    stride: keys.count)
                body(
                    queries, keys, head * headWidth..<(head + 1) * headWidth, head, first, scores)
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
