/// Floats on a 64-byte boundary with one owner.
///
/// `@unchecked Sendable`: written by whoever made it until it is first shared, read-only after.
package final class FloatBuffer: @unchecked Sendable {
    package let count: Int
    let base: UnsafeMutablePointer<Float>

    /// - Precondition: `count` is not negative. Contents start as zeros.
    package init(count: Int) {
        precondition(count >= 0, "\(count) floats")
        self.count = count
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: max(count, 1) * MemoryLayout<Float>.stride, alignment: 64)
        base = raw.bindMemory(to: Float.self, capacity: max(count, 1))
        base.initialize(repeating: 0, count: max(count, 1))
    }

    deinit { UnsafeMutableRawPointer(base).deallocate() }

    /// The whole buffer as rows of `width`.
    func rows(width: Int) -> Rows {
        Rows(base: base, count: width == 0 ? 0 : count / width, width: width, stride: width)
    }

    func multiply(by factor: Float) {
        guard factor != 1 else { return }
        for index in 0..<count { base[index] *= factor }
    }

    /// [rows, columns] → [columns, rows]
    func transposed(columns: Int) -> FloatBuffer {
        let rows = count / columns
        let result = FloatBuffer(count: count)
        for row in 0..<rows {
            for column in 0..<columns {
                result.base[column * rows + row] = base[row * columns + column]
            }
        }
        return result
    }

    /// Lends the floats to one closure.
    package func withFloats<R>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> R) rethrows
        -> R
    {
        try withExtendedLifetime(self) {
            try body(UnsafeMutableBufferPointer(start: base, count: count))
        }
    }
}
