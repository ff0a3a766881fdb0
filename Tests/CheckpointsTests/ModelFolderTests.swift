import Checkpoints
import FoundationEssentials
import TestSupport
import Testing

/// The errors of incomplete model folders, and folders with shards.
@Suite struct ModelFolderTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
        try folder.copy(fixture: "golden/t5-v1.0/llm/config.json")
    }

    private func opening(
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> CheckpointError.Problem? {
        problem(sourceLocation: sourceLocation) { _ = try ModelFolder(path: folder.path) }
    }

    @Test func missingFiles() throws {
        #expect(
            opening()
                == .noneOf(files: [
                    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                    "pytorch_model.bin.index.json",
                ]))
        try FileManager.default.removeItem(atPath: folder.path + "/config.json")
        #expect(opening() == .noneOf(files: ["config.json", "one file *.gguf"]))
        #expect(
            problem { _ = try ModelFolder(path: folder.path + "/none") }
                == .unreadable(attempt: "open the model", reason: "no such folder"))
    }

    @Test(arguments: ["flax_model.msgpack", "tf_model.h5"])
    func weightsOfAnotherFormat(name: String) throws {
        try folder.write(name, [0x80, 2])
        #expect(opening() == .foreignWeights(found: name))
        do {
            _ = try ModelFolder(path: folder.path)
        } catch {
            #expect("\(error)".contains("safe_serialization=True"))
        }
    }

    @Test func gitPointers() throws {
        let pointer = Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\n".utf8)
        try folder.write("model.safetensors", pointer)
        #expect(opening() == .gitPointer)
        try folder.write("config.json", pointer)
        #expect(opening() == .gitPointer)
    }

    // MARK: Shards

    private func shard(_ names: String..., value: UInt8) -> [UInt8] {
        SafetensorsBuilder.file(
            names.map { .init(name: $0, format: "BF16", shape: [1], bytes: [value, 63]) })
    }

    private func writeIndex(_ map: String) throws {
        try folder.write("model.safetensors.index.json", "{\"weight_map\": \(map)}".utf8)
    }

    @Test func readsShards() throws {
        try folder.write("one.safetensors", shard("a", "b", value: 128))
        try folder.write("two.safetensors", shard("b", "c", value: 0))
        try writeIndex(#"{"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}"#)
        let weights = try ModelFolder(path: folder.path).weights
        #expect(weights.names == ["a", "b", "c"])
        let values = try weights.names.map { name in
            var value: Float = 0
            try withUnsafeMutablePointer(to: &value) { pointer in
                try weights.tensor(name).read(
                    into: UnsafeMutableBufferPointer(start: pointer, count: 1))
            }
            return value
        }
        // "b" is in both shards: the index decides.
        #expect(values == [1, 0.5, 0.5])
    }

    @Test func missingShard() throws {
        try folder.write("one.safetensors", shard("a", value: 0))
        try writeIndex(#"{"a": "one.safetensors", "b": "two.safetensors"}"#)
        #expect(opening() == .missingShard(file: "two.safetensors"))
    }

    @Test func shardWithoutItsTensor() throws {
        try folder.write("one.safetensors", shard("a.weight", value: 0))
        try writeIndex(#"{"b.weight": "one.safetensors"}"#)
        #expect(opening() == .missingTensor(name: "b.weight", nearest: ["a.weight"]))
    }

    @Test func truncatedShard() throws {
        let whole = shard("a", value: 0)
        try folder.write("one.safetensors", whole.dropLast())
        try writeIndex(#"{"a": "one.safetensors"}"#)
        #expect(opening() == .truncated(expected: whole.count, found: whole.count - 1))
    }

    @Test(arguments: [
        #"{"a": "../one.safetensors"}"#, #"{"a": "/etc/passwd"}"#, #"{"a": ""}"#,
        #"{"a": "one\u0000"}"#, #"["one.safetensors"]"#, "null", #"{"a": 1}"#,
    ])
    func indexThatLeadsElsewhere(map: String) throws {
        try writeIndex(map)
        guard case .field("weight_map", _, _)? = opening() else {
            Issue.record("expected weight_map to be refused")
            return
        }
    }

    @Test func tooManyShards() throws {
        let map = (0..<1_001).map { "\"t\($0)\": \"s\($0)\"" }.joined(separator: ",")
        try writeIndex("{\(map)}")
        #expect(
            opening()
                == .field(name: "weight_map", expected: "at most 1000 files", found: "1001 files"))
    }
}
