/// A tensor's bytes: some that are to be written to a file, or some of a mapped file.
///
/// `@unchecked Sendable`: the bytes never change once this is made, and `owner` keeps them alive.
package struct TensorBytes: @unchecked Sendable {
    package let name: String
    /// The format's name in safetensors, such as `I8`.
    package let format: String
    package let shape: [Int]
    package let bytes: UnsafeRawBufferPointer
    package let owner: AnyObject

    /// - Precondition: `owner` keeps `bytes` alive and unchanged, and their number follows from
    ///   `format` and `shape`.
    package init(
        name: String, format: String, shape: [Int], bytes: UnsafeRawBufferPointer, owner: AnyObject
    ) {
        self.name = name
        self.format = format
        self.shape = shape
        self.bytes = bytes
        self.owner = owner
    }
}

extension StoredTensor {
    /// The elements as safetensors holds them. Unchanged elements keep the file's format, with
    /// blocks as bytes. Changed elements become Float32.
    package var stored: TensorBytes {
        guard change.isNone else { return inFloat32 }
        guard format.hasBlocks else {
            return mapped(format: format.rawValue, shape: shape)
        }
        // Rows are whole blocks in every file that holds blocks.
        let rowBytes = format.bytes(of: shape.last ?? 0) ?? 0
        return mapped(format: "U8", shape: shape.dropLast() + [rowBytes])
    }

    /// The metadata with which a safetensors file's bytes are read as blocks again. Empty for a
    /// tensor without blocks.
    package var blockMetadata: [String: String] {
        guard change.isNone, format.hasBlocks else { return [:] }
        return [SafetensorsHeader.blockKey(name): format.rawValue]
    }

    private func mapped(format: String, shape: [Int]) -> TensorBytes {
        TensorBytes(
            name: name, format: format, shape: shape,
            bytes: UnsafeRawBufferPointer(rebasing: file.bytes[bytes]), owner: file)
    }

    private var inFloat32: TensorBytes {
        let copy = FloatCopy(of: self)
        return TensorBytes(
            name: name, format: NumberFormat.float32.rawValue, shape: shape,
            bytes: UnsafeRawBufferPointer(copy.floats), owner: copy)
    }
}

/// A copy of a tensor's elements in Float32.
private final class FloatCopy {
    let floats: UnsafeMutableBufferPointer<Float>

    init(of tensor: StoredTensor) {
        floats = .allocate(capacity: tensor.count)
        floats.initialize(repeating: 0)
        tensor.read(into: floats)
    }

    deinit { floats.deallocate() }
}
