/// A borrowed block of floats: `count` rows of `width`, `stride` apart. Valid only while its owner
/// (a `FloatBuffer` or a `Workspace` scope) is.
package struct Rows {
    package let base: UnsafeMutablePointer<Float>
    package let count: Int
    package let width: Int
    package let stride: Int

    package init(base: UnsafeMutablePointer<Float>, count: Int, width: Int, stride: Int) {
        self.base = base
        self.count = count
        self.width = width
        self.stride = stride
    }

    package subscript(row: Int) -> UnsafeMutablePointer<Float> { base + row * stride }

    package func rows(_ range: Range<Int>) -> Rows {
        Rows(
            base: base + range.lowerBound * stride, count: range.count, width: width, stride: stride
        )
    }

    package func columns(_ range: Range<Int>) -> Rows {
        Rows(base: base + range.lowerBound, count: count, width: range.count, stride: stride)
    }

    package func copy(from source: Rows) {
        for row in 0..<count { self[row].update(from: source[row], count: width) }
    }

    package func add(_ source: Rows) {
        for row in 0..<count {
            let target = self[row]
            let addend = source[row]
            for column in 0..<width { target[column] += addend[column] }
        }
    }
}
