/// One sequence being written.
///
/// Not thread-safe: it belongs to the replica that made it.
package final class DecoderRow {
    /// What cross-attention reads of one document; shared by all its beams.
    final class Source {
        let cache: KeyValueCache
        let tokens: Int

        init(cache: KeyValueCache, tokens: Int) {
            self.cache = cache
            self.tokens = tokens
        }
    }

    /// Self-attention's keys and values: first those of the prefix, then those of written tokens.
    let cache: KeyValueCache
    /// Nil for a decoder-only model.
    let source: Source?
    /// Where the next token goes in `cache`.
    private(set) var position: Int
    /// Where the first token of the response went.
    private let start: Int
    /// The vector that stands in for the first token's embedding: the last row of a decoder-only
    /// model's prefix.
    var firstInput: FloatBuffer?

    init(cache: KeyValueCache, source: Source?, position: Int, firstInput: FloatBuffer?) {
        self.cache = cache
        self.source = source
        self.position = position
        start = position
        self.firstInput = firstInput
    }

    /// Returns the position of the next token, and moves on by one.
    func advance() -> Int {
        defer { position += 1 }
        return position
    }

    /// Forgets the last `count` tokens.
    func rewind(by count: Int) {
        precondition(count <= position, "\(count) of \(position) tokens")
        position -= count
    }

    /// The number of tokens that it has taken for the response, the first input included.
    var taken: Int { position - start }

    /// A row that goes on from here by itself, with a copy of the cache.
    func fork() -> DecoderRow { DecoderRow(forking: self) }

    private init(forking row: DecoderRow) {
        cache = row.cache.copy(of: row.position)
        source = row.source
        position = row.position
        start = row.start
        firstInput = row.firstInput
    }
}

extension Rows {
    /// Puts each row's first input in the place of its token's embedding, in the row's first step
    /// only.
    func takeFirstInputs(of rows: [DecoderRow]) {
        for (index, row) in rows.enumerated() {
            guard let first = row.firstInput else { continue }
            self.rows(index..<index + 1).copy(from: first.rows(width: width))
            row.firstInput = nil
        }
    }
}
