/// A tensor as it lies in a mapped file. Holds the mapping, so it may outlive the `WeightFile`.
package struct StoredTensor: Sendable {
    package let name: String
    /// Row-major.
    package let shape: [Int]
    package let format: NumberFormat
    let file: FileMapping
    /// Position in `file`, checked against its size and `shape` when the header was read.
    let bytes: Range<Int>

    /// The path of the file that holds it.
    package var path: String { file.path }

    /// Elements.
    package var count: Int { bytes.count / (format == .float32 ? 4 : 2) }

    /// Copies all elements, converted to Float32; every conversion is exact.
    ///
    /// - Precondition: `destination` has `count` elements.
    package func read(into destination: UnsafeMutableBufferPointer<Float>) {
        read(0..<count, into: destination)
    }

    /// Copies some elements, converted to Float32.
    ///
    /// - Precondition: `elements` lies in 0 ..< count, and `destination` has as many.
    package func read(
        _ elements: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(
            elements.lowerBound >= 0 && elements.upperBound <= count
                && destination.count == elements.count,
            "\(name): \(elements) of \(count) elements into a buffer of \(destination.count)")
        withExtendedLifetime(file) {
            let size = format == .float32 ? 4 : 2
            let start = bytes.lowerBound + elements.lowerBound * size
            let source = UnsafeRawBufferPointer(
                rebasing: file.bytes[start..<start + elements.count * size])
            switch format {
            case .float32:
                UnsafeMutableRawBufferPointer(destination).copyMemory(from: source)
            case .bfloat16:
                for index in destination.indices {
                    let half = source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
                    destination[index] = Float(bitPattern: UInt32(half) << 16)
                }
            case .float16:
                for index in destination.indices {
                    let half = source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
                    destination[index] = Float(Float16(bitPattern: half))
                }
            }
        }
    }

    /// Whether both hold the same bytes in the same format and shape.
    package func hasSameElements(as other: StoredTensor) -> Bool {
        guard shape == other.shape, format == other.format else { return false }
        return withExtendedLifetime((file, other.file)) {
            file.bytes[bytes].elementsEqual(other.file.bytes[other.bytes])
        }
    }

    /// Lends the mapped elements without a copy: nil unless they are Float32 and aligned.
    package func withMappedFloats<R>(
        _ body: (UnsafeBufferPointer<Float>?) throws -> R
    ) rethrows -> R {
        try withExtendedLifetime(file) {
            let source = UnsafeRawBufferPointer(rebasing: file.bytes[bytes])
            guard format == .float32, let start = source.baseAddress,
                UInt(bitPattern: start) % UInt(MemoryLayout<Float>.alignment) == 0
            else { return try body(nil) }
            return try body(
                UnsafeBufferPointer(
                    start: start.assumingMemoryBound(to: Float.self), count: count))
        }
    }
}
