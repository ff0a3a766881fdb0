internal import Inference

/// A table of token or position vectors.
struct Embedding {
    let table: Weight

    /// x += the vector of each token.
    func add(_ tokens: [Int32], to x: Variable, _ tape: Tape) {
        let vectors = tape.rows(tokens.count, table.columns)
        vectors.gather(tokens, from: tape.value(table))
        x.value.add(vectors)
        guard !table.isFrozen else { return }
        tape.onBackward { x.gradient.scatter(tokens, into: tape.gradient(table)) }
    }

    /// The vectors of tokens, dropped out.
    func look(up tokens: [Int32], _ tape: Tape) -> Variable {
        let x = tape.variable(tokens.count, table.columns)
        x.value.clear()
        add(tokens, to: x, tape)
        x.drop(tape)
        return x
    }
}

extension Variable {
    /// Applies dropout in place. The backward pass of earlier operations must not need the value.
    func drop(_ tape: Tape) {
        guard tape.dropout.isActive else { return }
        let place = tape.dropout.place()
        tape.dropout.apply(to: value, place: place)
        tape.onBackward { tape.dropout.apply(to: gradient, place: place) }
    }
}
