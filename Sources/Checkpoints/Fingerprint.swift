/// A 64-bit hash, for data that differ by accident. It is not for security.
package struct Fingerprint: Sendable {
    private var hash: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func mix(_ word: UInt64) {
        hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 32
    }

    package mutating func mix(_ text: String) {
        for byte in text.utf8 { mix(UInt64(byte)) }
        mix(UInt64(text.utf8.count))
    }

    mutating func mix(_ bytes: UnsafeRawBufferPointer) {
        let words = bytes.count / 8
        for index in 0..<words {
            mix(
                UInt64(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)))
        }
        for byte in bytes[(8 * words)...] { mix(UInt64(byte)) }
    }

    package var value: UInt64 { hash }

    /// 16 hexadecimal digits.
    package var text: String {
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension [TensorBytes] {
    /// A checksum of every byte, tensor after tensor. It reads a few gigabytes per second.
    package var checksum: String {
        var fingerprint = Fingerprint()
        for tensor in self {
            withExtendedLifetime(tensor.owner) { fingerprint.mix(tensor.bytes) }
        }
        return fingerprint.text
    }
}

extension WeightFile {
    /// The checksum of all tensors in the order in which they lie in the file.
    package var checksum: String { tensorsInOrder.checksum }

    /// A fingerprint reads this many bytes in each of `fingerprintSlices` places of a large tensor.
    private static let sliceBytes = 4096
    private static let fingerprintSlices = 16

    /// A hash that tells one checkpoint from another. It covers the names, formats and shapes of
    /// all tensors, small tensors as a whole, large ones in 16 places, and an adapter that is
    /// merged into them. Training changes every weight, so the fingerprints of two trainings
    /// differ. At most 64 KiB of a tensor are read, so that opening a checkpoint of many gigabytes
    /// does not read it twice.
    package var fingerprint: String {
        var fingerprint = Fingerprint()
        for name in names {
            guard let tensor = try? bytes(of: name) else { continue }
            fingerprint.mix("\(name) \(tensor.format) \(tensor.shape)")
            Self.mix(tensor, into: &fingerprint)
            guard let delta = places[name]?.change.delta else { continue }
            fingerprint.mix("+ \(delta.scale)")
            Self.mix(delta.a.stored, into: &fingerprint)
            Self.mix(delta.b.stored, into: &fingerprint)
        }
        return fingerprint.text
    }

    private static func mix(_ tensor: TensorBytes, into fingerprint: inout Fingerprint) {
        withExtendedLifetime(tensor.owner) {
            guard tensor.bytes.count > sliceBytes * fingerprintSlices else {
                return fingerprint.mix(tensor.bytes)
            }
            let rest = tensor.bytes.count - sliceBytes
            for slice in 0..<fingerprintSlices {
                let start = rest * slice / (fingerprintSlices - 1)
                fingerprint.mix(
                    UnsafeRawBufferPointer(rebasing: tensor.bytes[start..<start + sliceBytes]))
            }
        }
    }
}
