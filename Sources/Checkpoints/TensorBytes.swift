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

extension WeightFile {
    /// Tells one checkpoint from another: a hash of all tensors, with their names and shapes. Not
    /// for security. Cost: reads everything.
    package var fingerprint: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func mix(_ word: UInt64) {
            hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
            hash ^= hash >> 32
        }
        for name in names {
            guard let tensor = try? bytes(of: name) else { continue }
            for byte in "\(name) \(tensor.format) \(tensor.shape)".utf8 { mix(UInt64(byte)) }
            let words = tensor.bytes.count / 8
            withExtendedLifetime(tensor.owner) {
                for index in 0..<words {
                    mix(
                        UInt64(
                            littleEndian: tensor.bytes.loadUnaligned(
                                fromByteOffset: 8 * index, as: UInt64.self)))
                }
                for byte in tensor.bytes[(8 * words)...] { mix(UInt64(byte)) }
            }
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
