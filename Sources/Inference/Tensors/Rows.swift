/// A borrowed block of floats: `count` rows of `width`, `stride` apart. Valid only while its owner
/// (a `FloatBuffer` or a `Workspace` scope) is.
struct Rows {
    let base: UnsafeMutablePointer<Float>
    let count: Int
    let width: Int
    let stride: Int

    subscript(row: Int) -> UnsafeMutablePointer<Float> { base + row * stride }

    func rows(_ range: Range<Int>) -> Rows {
        Rows(
            base: base + range.lowerBound * stride, count: range.count, width: width, stride: stride
        )
    }

    func columns(_ range: Range<Int>) -> Rows {
        Rows(base: base + range.lowerBound, count: count, width: range.count, stride: stride)
    }

    func copy(from source: Rows) {
        for row in 0..<count { self[row].update(from: source[row], count: width) }
    }

    func add(_ source: Rows) {
        for row in 0..<count {
            let target = self[row]
            let addend = source[row]
            for column in 0..<width { target[column] += addend[column] }
        }
    }
}
