import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// Packed files that cannot be used, and models that cannot be packed: each is named and refused.
@Suite struct BadPackedModelTests {
    private let packed: PackedGolden
    private var file: String { packed.llm + "/packed.safetensors" }

    init() throws { packed = try PackedGolden("t5-v1.0", .int8) }

    private func words(_ work: () throws -> Void) -> String {
        do {
            try work()
            Issue.record("expected an error")
            return ""
        } catch {
            return "\(error)"
        }
    }

    private func load() throws {
        _ = try GoldenModel("t5-v1.0", format: .int8, in: packed.folder.path)
    }

    /// Replaces text in the header by text of the same length.
    private func edit(_ old: String, _ new: String) throws {
        try #require(old.utf8.count == new.utf8.count)
        var bytes = try Data(contentsOf: URL(filePath: file))
        let range = try #require(bytes.firstRange(of: Data(old.utf8)), "\(old)")
        bytes.replaceSubrange(range, with: Data(new.utf8))
        try bytes.write(to: URL(filePath: file))
    }

    @Test func anotherNumberTypeIsNamed() {
        let words = words { _ = try GoldenModel("t5-v1.0", in: packed.folder.path) }
        #expect(words.contains("packed as int8"))
        #expect(words.contains("held as float32"))
        #expect(words.contains("set dtype to int8"))
        #expect(words.contains("--dtype float32"))
    }

    @Test(arguments: [
        (#""l2s.version":"4""#, #""l2s.version":"3""#, #"be 4, got "3""#),
        (
            "panel32 hadamard little", "panel16 hadamard little",
            #"be panel32 hadamard little-endian, got "panel16"#
        ),
        (#""l2s.dtype":"int8""#, #""l2s.dtype":"int3""#, #"got "int3""#),
        (#""l2s.layout""#, #""l2s.lay0ut""#, #"got "nothing""#),
        (#""1500 48 0.1"#, #""1400 48 0.1"#, "the panels of"),
        (#""1500 48 0.1"#, #""1501 48 0.1"#, "embedding of the head"),
        (#""1500 48 0.1"#, #""1500 48 0.2"#, "scale"),
        (#""1500 48 0.1"#, #""-500 48 0.1"#, "columns, inner size, scale and number type"),
        (#""192 48 1.0 "#, #""191 48 1.0 "#, "[192, 48]"),
        (#""192 48 1.0 int8"#, #""192 48 1.0 int3"#, "columns, inner size, scale and number type"),
        (#"/scales""#, #"/skales""#, "/scales"),
    ])
    func whatTheHeaderSaysIsChecked(old: String, new: String, expected: String) throws {
        try edit(old, new)
        let words = words(load)
        #expect(words.contains(expected), "\(words)")
        #expect(words.contains("packed.safetensors") || words.contains("/llm"), "\(words)")
    }

    @Test func aCutOffFileIsRefused() throws {
        let bytes = try Data(contentsOf: URL(filePath: file))
        try bytes.dropLast(1).write(to: URL(filePath: file))
        #expect(words(load).contains("expected \(bytes.count) bytes, found \(bytes.count - 1)"))
    }

    /// The places are in the first panel, in the token vectors at the end, and in between.
    @Test(arguments: [0.0, 0.3, 0.7, 1])
    func aByteThatChangedIsNoticed(place: Double) throws {
        var bytes = try Data(contentsOf: URL(filePath: file))
        let header = 8 + bytes.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
        let index = header + Int(place * Double(bytes.count - header - 1))
        bytes[index] ^= 4
        try bytes.write(to: URL(filePath: file))
        let words = words(load)
        #expect(words.contains(#"expected "l2s.checksum" to be"#), "\(words)")
        #expect(words.contains("packed.safetensors") && words.contains("damaged"), "\(words)")
    }

    @Test(arguments: [Float.nan, .infinity, -1])
    func aScaleThatIsNoScaleIsRefused(value: Float) throws {
        let name = "encoder.block.0.layer.0.SelfAttention.o.weight/scales"
        let folder = try ModelFolder(path: packed.llm)
        let bytes = try folder.weights.bytes(of: name)
        let start = try #require(bytes.bytes.baseAddress)
        var whole = try Data(contentsOf: URL(filePath: file))
        let scale = Data(bytes: start, count: 128)
        let range = try #require(whole.firstRange(of: scale))
        withUnsafeBytes(of: value) {
            whole.replaceSubrange(range.lowerBound + 4..<range.lowerBound + 8, with: $0)
        }
        try whole.write(to: URL(filePath: file))
        let checksum = try Packing(folder.weights).checksum
        try edit(checksum, ModelFolder(path: packed.llm).weights.checksum)
        let words = words(load)
        #expect(words.contains("the scales of"), "\(words)")
        #expect(words.contains("SelfAttention.o.weight"))
    }

    @Test func whatIsPackedIsNotPackedAgain() throws {
        let words = words {
            _ = try ModelConverter.convert(
                packed.llm, to: packed.folder.path + "/again", format: .int8)
        }
        #expect(words.contains("packed as int8 already"))
        #expect(!FileManager.default.fileExists(atPath: packed.folder.path + "/again"))
    }

    @Test func nothingIsWrittenOver() throws {
        let source = Fixtures.path("golden/t5-v1.0/llm")
        let before = try FileManager.default.contentsOfDirectory(atPath: packed.llm)
        let words = words {
            _ = try ModelConverter.convert(source, to: packed.llm, format: .bfloat16)
        }
        #expect(words.contains("new or empty"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: packed.llm) == before)
        #expect(
            self.words { _ = try ModelConverter.convert(source, to: file, format: .int8) }
                .contains("new or empty"))
        // An empty folder is as good as none.
        let empty = try ScratchFolder()
        _ = try ModelConverter.convert(source, to: empty.path + "/", format: .bfloat16)
        #expect(try ModelFolder(path: empty.path).isPacked)
    }

    @Test func aFolderWithoutLayersHasNothingToPack() throws {
        let model = try ScratchFolder()
        try model.copy(fixture: "golden/t5-v1.0/llm/config.json")
        let header = #"{"shared.weight":{"dtype":"F32","shape":[0,48],"data_offsets":[0,0]}}"#
        try model.write(
            "model.safetensors",
            [UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(header.utf8))
        let output = packed.folder.path + "/nothing"
        let words = words { _ = try ModelConverter.convert(model.path, to: output, format: .int8) }
        #expect(words.contains("encoder or a decoder"))
        #expect(!FileManager.default.fileExists(atPath: output))
    }

    @Test func packedAndPlainWeightsTogetherAreRefused() throws {
        try FileManager.default.copyItem(
            atPath: Fixtures.path("golden/t5-v1.0/llm/model.safetensors"),
            toPath: packed.llm + "/model.safetensors")
        #expect(words(load).contains("found both packed.safetensors and model.safetensors"))
    }

    @Test func aFolderThatCannotBeWrittenIsNamed() {
        let words = words {
            _ = try ModelConverter.convert(
                Fixtures.path("golden/t5-v1.0/llm"), to: file + "/such", format: .int8)
        }
        #expect(words.contains("packed.safetensors/such.unfinished-"))
        #expect(words.contains("cannot create it: Not a directory"))
    }

    @Test func foldersAboveAreMade() throws {
        let output = packed.folder.path + "/a/b"
        _ = try ModelConverter.convert(
            Fixtures.path("golden/t5-v1.0/llm"), to: output, format: .int8)
        #expect(try ModelFolder(path: output).isPacked)
    }
}
