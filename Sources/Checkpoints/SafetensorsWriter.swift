import FoundationEssentials
import Glibc

/// Writes safetensors files. The first tensor begins at a multiple of 64 bytes, and so does every
/// other tensor that has only multiples of 64 bytes before it.
package enum SafetensorsWriter {
    private static let alignment = 64

    /// Writes a file and waits until it is on the disk. The same tensors give the same bytes.
    ///
    /// - Parameter wrote: called with the tensors' bytes written so far. An error that it throws
    ///   stops the work.
    /// - Throws: `CheckpointError`; the file may then be there in part.
    package static func write(
        _ tensors: [TensorBytes], metadata: [String: String], to path: String,
        wrote: (Int) throws -> Void = { _ in }
    ) throws {
        var header = try JSONEncoder.sorted.encode(
            Header(tensors: tensors, metadata: metadata))
        let padding = (alignment - (8 + header.count) % alignment) % alignment
        header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: padding))
        let file = try NewFile(path: path)
        try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try file.write($0) }
        try header.withUnsafeBytes { try file.write($0) }
        var written = 0
        for tensor in tensors {
            try withExtendedLifetime(tensor.owner) { try file.write(tensor.bytes) }
            written += tensor.bytes.count
            try wrote(written)
        }
        try file.finish()
    }

    /// Replaces a file by a new one. Where that fails, the old file stays.
    ///
    /// - Throws: `CheckpointError`, for a full disk for instance.
    package static func replace(
        _ tensors: [TensorBytes], metadata: [String: String], at path: String
    ) throws {
        let temporary = path + ".unfinished"
        // A process that was killed may have left one.
        unlink(temporary)
        do {
            try write(tensors, metadata: metadata, to: temporary)
            try NewFolder.rename(temporary, to: path)
        } catch {
            unlink(temporary)
            throw error
        }
    }

    private struct Header: Encodable {
        let tensors: [TensorBytes]
        let metadata: [String: String]

        private struct Entry: Encodable {
            let dtype: String
            let shape: [Int]
            let data_offsets: [Int]
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: AnyKey.self)
            try container.encode(
                metadata, forKey: AnyKey(stringValue: SafetensorsHeader.metadataName))
            var end = 0
            for tensor in tensors {
                let start = end
                end += tensor.bytes.count
                try container.encode(
                    Entry(dtype: tensor.format, shape: tensor.shape, data_offsets: [start, end]),
                    forKey: AnyKey(stringValue: tensor.name))
            }
        }
    }
}

extension JSONEncoder {
    fileprivate static var sorted: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
