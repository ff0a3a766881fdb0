import Checkpoints
import TestSupport
import Testing

/// The bytes of a safetensors file, well-formed or not.
enum SafetensorsBuilder {
    /// - Parameter headerLength: what the file claims; the true length unless given.
    static func file(
        header: String, data: [UInt8] = [], headerLength: UInt64? = nil
    ) -> [UInt8] {
        let length = headerLength ?? UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + header.utf8 + data
    }

    struct Tensor {
        let name: String
        let format: String
        let shape: [Int]
        let bytes: [UInt8]
    }

    static func file(_ tensors: [Tensor]) -> [UInt8] {
        var data: [UInt8] = []
        let entries = tensors.map { tensor in
            let begin = data.count
            data += tensor.bytes
            return entry(tensor.name, tensor.format, tensor.shape, begin, data.count)
        }
        return file(header: "{" + entries.joined(separator: ",") + "}", data: data)
    }

    static func entry(
        _ name: String, _ format: String, _ shape: [Int], _ begin: Int, _ end: Int
    ) -> String {
        #""\#(name)":{"dtype":"\#(format)","shape":\#(shape),"data_offsets":[\#(begin),\#(end)]}"#
    }
}

/// The problem that `work` throws. Records an issue when it throws nothing or another error.
func problem(
    sourceLocation: SourceLocation = #_sourceLocation, _ work: () throws -> Void
) -> CheckpointError.Problem? {
    do {
        try work()
        Issue.record("expected an error", sourceLocation: sourceLocation)
    } catch let error as CheckpointError {
        return error.problem
    } catch {
        Issue.record("expected a CheckpointError, got \(error)", sourceLocation: sourceLocation)
    }
    return nil
}
