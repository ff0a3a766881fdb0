/// A tensor's bytes, to be written to a file or as they lie in a mapped one.
///
/// `@unchecked Sendable`: the bytes never change once this is made, and `owner` keeps them alive.
package struct TensorBytes: @unchecked Sendable {
    package let name: String
    /// As safetensors calls it, such as `I8`.
    package let format: String
    package let shape: [Int]
    package let bytes: UnsafeRawBufferPointer
    package let owner: AnyObject

    /// - Precondition: `owner` keeps `bytes` alive and unchanged, and there are as many of them as
    ///   `format` and `shape` say.
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
    /// The elements in the file's own format.
    package var stored: TensorBytes {
        TensorBytes(
            name: name, format: format.rawValue, shape: shape,
            bytes: UnsafeRawBufferPointer(rebasing: file.bytes[bytes]), owner: file)
    }
}
