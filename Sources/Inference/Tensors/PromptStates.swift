/// What the encoder hands over to a decoder: states, Z (or E + Z) and never the encoder's own wide
/// ones where there is a projector, or the keys and values that a decoder-only model's reading left.
package struct PromptStates: Sendable {
    /// Vectors that were read.
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

    /// The memory that it holds; caches that several share are counted by each of them.
    package var byteCount: Int {
        buffer.count * MemoryLayout<Float>.stride + (caches?.cache.byteCount ?? 0)
    }

    var rows: Rows { buffer.rows(width: width) }

    /// All of them, as one row.
    package var row: Rows { buffer.rows(width: buffer.count) }

    package func withFloats<R>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> R) rethrows
        -> R
    {
        try buffer.withFloats(body)
    }
}
