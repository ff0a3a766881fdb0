/// What the encoder hands over to the decoder: Z (or E + Z), never the encoder's own wide states.
package struct PromptStates: Sendable {
    package let tokens: Int
    package let width: Int
    let buffer: FloatBuffer

    init(copying source: Rows) {
        tokens = source.count
        width = source.width
        buffer = FloatBuffer(count: tokens * width)
        rows.copy(from: source)
    }

    package init(tokens: Int, width: Int, buffer: FloatBuffer) {
        precondition(
            buffer.count == tokens * width, "\(buffer.count) floats for [\(tokens), \(width)]")
        self.tokens = tokens
        self.width = width
        self.buffer = buffer
    }

    package var byteCount: Int { buffer.count * MemoryLayout<Float>.stride }

    var rows: Rows { buffer.rows(width: width) }

    /// All of them, as one row.
    package var row: Rows { buffer.rows(width: buffer.count) }

    package func withFloats<R>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> R) rethrows
        -> R
    {
        try buffer.withFloats(body)
    }
}
