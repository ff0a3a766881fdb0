internal import Inference

/// A table of token or position vectors.
struct Embedding {
    let table: Weight

    /// x += the vector of each token.
    func add(_ tokens: [Int32], to x: Stream, _ pass: Pass) {
        let vectors = pass.rows(tokens.count, table.columns)
        vectors.gather(tokens, from: pass.value(table))
        x.value.add(vectors)
        guard !table.isFrozen else { return }
        pass.onBackward { x.gradient.scatter(tokens, into: pass.gradient(table)) }
    }

    /// The vectors of tokens, dropped out.
    func look(up tokens: [Int32], _ pass: Pass) -> Stream {
        let x = pass.stream(tokens.count, table.columns)
        x.value.clear()
        add(tokens, to: x, pass)
        x.drop(pass)
        return x
    }
}

extension Stream {
    /// Dropout in place. What came before it must be through with the value.
    func drop(_ pass: Pass) {
        guard pass.dropout.isActive else { return }
        let place = pass.dropout.place()
        pass.dropout.apply(to: value, place: place)
        pass.onBackward { pass.dropout.apply(to: gradient, place: place) }
    }
}
