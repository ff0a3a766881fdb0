/// What the encoder hands over to a decoder: states, or the keys and values that a decoder-only
/// model's reading left. Where there is a projector, the states are Z or E + Z, never the encoder's
/// own wide ones.
package struct PromptStates: Sendable {
    /// The number of vectors that were read.
    package let tokens: Int
    /// The width of a state; 0 where there are none.
    package let width: Int
    let buffer: FloatBuffer
    /// Nil where states are handed over.
    let caches: PromptCaches?

    init(copying source: Rows) {
        self.init(
            tokens: source.count, width: source.width,
            buffer: FloatBuffer(count: source.count * source.width))
        rows.copy(from: source)
    }

    package init(tokens: Int, width: Int, buffer: FloatBuffer) {
        precondition(
            buffer.count == tokens * width, "\(buffer.count) floats for [\(tokens), \(width)]")
        self.tokens = tokens
        self.width = width
        self.buffer = buffer
        caches = nil
    }

    init(tokens: Int, caches: PromptCaches) {
        self.tokens = tokens
        width = 0
        buffer = FloatBuffer(count: 0)
        self.caches = caches
    }

    /// The bytes of memory that it holds. Caches that several prompts share are counted for each.
    package var byteCount: Int {
        buffer.count * MemoryLayout<Float>.stride + (caches?.cache.byteCount ?? 0)
    }

    var rows: Rows { buffer.rows(width: width) }

    /// All floats of the states, as one row.
    package var row: Rows { buffer.rows(width: buffer.count) }

    package func withFloats<R>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> R) rethrows
        -> R
    {
        try buffer.withFloats(body)
    }
}
