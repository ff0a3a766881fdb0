import Checkpoints
import TestSupport
import Testing

/// The bytes of a GGUF file, well-formed or not.
struct GGUFBuilder {
    struct Tensor {
        var name: String
        /// Innermost first, as files have it.
        var dimensions: [UInt64]
        /// GGML's number of the format.
        var type: UInt32
        var bytes: [UInt8]
        /// Where the file says that the bytes begin. Nil for directly behind the tensor before.
        var offset: UInt64?
    }

    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    /// The counts that the file states; nil for the true ones.
    var tensorCount: UInt64?
    var pairCount: UInt64?
    var pairs: [(key: String, type: UInt32, bytes: [UInt8])] = []
    var tensors: [Tensor] = []
    var alignment = 32
    var tail: [UInt8] = []

    /// A Llama of one layer with no weights but those that are added.
    init(architecture: String = "llama") {
        add("general.architecture", architecture)
        for (key, value) in [
            ("block_count", 1), ("embedding_length", 8), ("feed_forward_length", 16),
            ("attention.head_count", 2), ("context_length", 64),
        ] { add("\(architecture).\(key)", UInt32(value)) }
    }

    mutating func add(_ key: String, _ value: UInt32) { pairs.append((key, 4, value.bytes)) }

    mutating func add(_ key: String, _ text: String) { pairs.append((key, 8, Self.text(text))) }

    mutating func add(_ key: String, _ texts: [String]) {
        pairs.append(
            (key, 9, UInt32(8).bytes + UInt64(texts.count).bytes + texts.flatMap(Self.text)))
    }

    mutating func add(_ name: String, _ shape: [Int], _ values: [Float]) {
        tensors.append(
            Tensor(
                name: name, dimensions: shape.reversed().map(UInt64.init), type: 0,
                bytes: values.flatMap { $0.bitPattern.bytes }))
    }

    static func text(_ text: String) -> [UInt8] { UInt64(text.utf8.count).bytes + text.utf8 }

    var bytes: [UInt8] {
        var bytes = magic + version.bytes
        bytes += (tensorCount ?? UInt64(tensors.count)).bytes
        bytes += (pairCount ?? UInt64(pairs.count)).bytes
        for pair in pairs { bytes += Self.text(pair.key) + pair.type.bytes + pair.bytes }
        var data: [UInt8] = []
        for tensor in tensors {
            bytes += Self.text(tensor.name) + UInt32(tensor.dimensions.count).bytes
            bytes += tensor.dimensions.flatMap(\.bytes) + tensor.type.bytes
            bytes += (tensor.offset ?? UInt64(data.count)).bytes
            data = padded(data + tensor.bytes)
        }
        return padded(bytes) + data + tail
    }

    private func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: (alignment - bytes.count % alignment) % alignment)
    }
}

extension FixedWidthInteger {
    /// The lowest byte first.
    var bytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }
}

extension StoredTensor {
    var floats: [Float] { floats(in: 0..<count) }

    func floats(in range: Range<Int>) -> [Float] {
        [Float](unsafeUninitializedCapacity: range.count) { buffer, count in
            read(range, into: UnsafeMutableBufferPointer(rebasing: buffer[..<range.count]))
            count = range.count
        }
    }
}
