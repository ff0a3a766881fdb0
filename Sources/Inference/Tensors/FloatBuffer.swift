internal import Glibc

/// Floats on a 64-byte boundary with one owner.
///
/// `@unchecked Sendable`: written by whoever made it until it is first shared, read-only after.
package final class FloatBuffer: @unchecked Sendable {
    package let count: Int
    package let base: UnsafeMutablePointer<Float>

    /// Contents start as zeros.
    ///
    /// - Precondition: `count` is not negative.
    package convenience init(count: Int) {
        self.init(uninitialized: count)
        base.initialize(repeating: 0, count: count)
    }

    /// Contents are undefined.
    init(uninitialized count: Int) {
        precondition(count >= 0, "\(count) floats")
        self.count = count
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        // Weights are read from end to end in every step. With small pages, the processor would
        // look up the address of each page anew.
        let isLarge = bytes >= 2 * Self.hugePage
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: bytes, alignment: isLarge ? Self.hugePage : 64)
        if isLarge { madvise(raw, bytes, MADV_HUGEPAGE) }
        base = raw.bindMemory(to: Float.self, capacity: max(count, 1))
    }

    private static let hugePage = 1 << 21

    deinit { UnsafeMutableRawPointer(base).deallocate() }

    /// The whole buffer as rows of `width`.
    package func rows(width: Int) -> Rows {
        Rows(base: base, count: width == 0 ? 0 : count / width, width: width, stride: width)
    }

    /// The buffer itself; a new one of zeros where it has fewer than `count` floats.
    func grown(to count: Int) -> FloatBuffer {
        self.count < count ? FloatBuffer(count: count) : self
    }

    func multiply(by factor: Float) {
        guard factor != 1 else { return }
        for index in 0..<count { base[index] *= factor }
    }

    func add(_ addend: Float) {
        for index in 0..<count { base[index] += addend }
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

    /// Lends a part of the floats to one closure.
    package func withFloats<R>(
        _ range: Range<Int>, _ body: (UnsafeMutableBufferPointer<Float>) throws -> R
    ) rethrows -> R {
        try withFloats { try body(UnsafeMutableBufferPointer(rebasing: $0[range])) }
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
