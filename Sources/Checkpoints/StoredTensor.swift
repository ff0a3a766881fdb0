/// A tensor as it lies in a mapped file. Holds the mapping, so it may outlive the `WeightFile`.
package struct StoredTensor: Sendable {
    package let name: String
    /// Row-major.
    package let shape: [Int]
    package let format: NumberFormat
    let file: FileMapping
    /// Position in `file`, checked against its size and `shape` when the header was read.
    let bytes: Range<Int>
    /// How the elements differ from those in the file.
    var change = Change()

    /// How the elements of a tensor follow from those in the file.
    struct Change: Sendable {
        /// The number of heads, where the file interleaves each head's rows: one of the first half
        /// of its channels, one of the second, and so on. GGUF files of the Llama family store
        /// queries and keys like this. Nil for rows in their own order.
        var interleavedHeads: Int?
        /// A number that is added to every element.
        var offset: Float = 0
        /// What an adapter adds to this matrix; nil where none does.
        var delta: LowRankDelta?

        var isNone: Bool { interleavedHeads == nil && offset == 0 && delta == nil }
    }

    /// The path of the file that holds it.
    package var path: String { file.path }

    /// Elements.
    package var count: Int { bytes.count / format.block.bytes * format.block.elements }

    /// Bytes in the file.
    package var byteCount: Int { bytes.count }

    /// Whether the elements are those in the file, in a format that safetensors has too.
    package var isPlain: Bool { change.isNone && !format.hasBlocks }

    /// Copies all elements, converted to Float32. The conversion is exact; block formats are
    /// expanded in the order of operations of their reference code.
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
        guard !elements.isEmpty else { return }
        if let heads = change.interleavedHeads {
            readRows(of: elements, heads: heads, into: destination)
        } else {
            readStored(elements, into: destination)
        }
        if change.offset != 0 {
            for index in destination.indices { destination[index] += change.offset }
        }
        change.delta?.add(elements, of: shape, to: destination)
    }

    /// Reads row by row, each from the place where it is stored.
    private func readRows(
        of elements: Range<Int>, heads: Int, into destination: UnsafeMutableBufferPointer<Float>
    ) {
        let columns = count / shape[0]
        let (headRows, half) = (shape[0] / heads, shape[0] / heads / 2)
        var next = elements.lowerBound
        while next < elements.upperBound {
            let (row, column) = next.quotientAndRemainder(dividingBy: columns)
            let (head, channel) = row.quotientAndRemainder(dividingBy: headRows)
            let stored = head * headRows + 2 * (channel % half) + channel / half
            let end = min(next - column + columns, elements.upperBound)
            let start = next - elements.lowerBound
            readStored(
                stored * columns + column..<stored * columns + column + end - next,
                into: UnsafeMutableBufferPointer(
                    rebasing: destination[start..<start + end - next]))
            next = end
        }
    }

    /// Elements in the file's own order, without any change.
    private func readStored(
        _ elements: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>
    ) {
        withExtendedLifetime(file) {
            guard let target = destination.baseAddress, let start = file.bytes.baseAddress else {
                return
            }
            let source = start + bytes.lowerBound
            switch format {
            case .float32:
                UnsafeMutableRawPointer(target).copyMemory(
                    from: source + 4 * elements.lowerBound, byteCount: 4 * elements.count)
            case .bfloat16, .float16:
                format.expand(
                    source + 2 * elements.lowerBound, blocks: elements.count, into: target)
            default:
                readBlocks(elements, from: source, into: target)
            }
        }
    }

    /// Expands whole blocks into the target, and a block of which only a part is needed into a
    /// buffer.
    private func readBlocks(
        _ elements: Range<Int>, from source: UnsafeRawPointer,
        into target: UnsafeMutablePointer<Float>
    ) {
        let block = format.block
        withUnsafeTemporaryAllocation(of: Float.self, capacity: block.elements) { scratch in
            var next = elements.lowerBound
            while next < elements.upperBound {
                let (index, skipped) = next.quotientAndRemainder(dividingBy: block.elements)
                let target = target + (next - elements.lowerBound)
                let whole = (elements.upperBound - next) / block.elements
                if skipped == 0, whole > 0 {
                    format.expand(source + index * block.bytes, blocks: whole, into: target)
                    next += whole * block.elements
                } else if let start = scratch.baseAddress {
                    format.expand(source + index * block.bytes, blocks: 1, into: start)
                    let count = min(block.elements - skipped, elements.upperBound - next)
                    target.update(from: start + skipped, count: count)
                    next += count
                }
            }
        }
    }

    /// Whether both hold the same bytes in the same format and shape, and nothing changes them.
    package func hasSameElements(as other: StoredTensor) -> Bool {
        guard shape == other.shape, format == other.format, change.isNone, other.change.isNone
        else { return false }
        return withExtendedLifetime((file, other.file)) {
            file.bytes[bytes].elementsEqual(other.file.bytes[other.bytes])
        }
    }

    /// Lends the mapped elements to `body` without a copy. It gets nil unless they are Float32,
    /// unchanged and aligned.
    package func withMappedFloats<R>(
        _ body: (UnsafeBufferPointer<Float>?) throws -> R
    ) rethrows -> R {
        try withExtendedLifetime(file) {
            let source = UnsafeRawBufferPointer(rebasing: file.bytes[bytes])
            guard format == .float32, change.isNone, let start = source.baseAddress,
                UInt(bitPattern: start) % UInt(MemoryLayout<Float>.alignment) == 0
            else { return try body(nil) }
            return try body(
                UnsafeBufferPointer(
                    start: start.assumingMemoryBound(to: Float.self), count: count))
        }
    }
}
