import Checkpoints
import Foundation
import Jobs
import TestSupport
import Testing

@testable import Pipeline

/// A large model with an adapter is another model. Only the job type names the adapter.
@Suite struct AdapterTests {
    private let scratch: ScratchFolder
    private let adapted = "decoder.block.0.layer.1.EncDecAttention.q"

    init() throws { scratch = try ScratchFolder() }

    private func type(_ name: String, adapter: String?) throws -> JobType {
        var type = try goldenType("t5-v1.0")
        type.name = name
        type.adapter = adapter
        return type
    }

    /// An adapter of rank 2, large enough to change what is written.
    private func writeAdapter() throws -> String {
        let path = scratch.path + "/adapter"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        try scratch.write(
            "adapter/adapter_config.json",
            #"{"peft_type": "LORA", "r": 2, "lora_alpha": 8, "bias": "none"}"#.utf8)
        var random = SeededRandom(seed: 17)
        let tensors = [("lora_A", [2, 48]), ("lora_B", [64, 2])].map { part, shape in
            let values = (0..<shape.reduce(1, *)).map { _ in
                Float.random(in: -1...1, using: &random)
            }
            let owner = NSData(data: values.withUnsafeBytes { Data($0) })
            return TensorBytes(
                name: "base_model.model.\(adapted).\(part).weight", format: "F32", shape: shape,
                bytes: UnsafeRawBufferPointer(start: owner.bytes, count: owner.length),
                owner: owner)
        }
        try SafetensorsWriter.write(
            tensors, metadata: [:], to: path + "/adapter_model.safetensors")
        return path
    }

    /// The model with the adapter merged into its file.
    private func writeMerged(_ adapter: String) throws -> String {
        try scratch.copy(fixture: "golden/t5-v1.0/llm")
        let original = Fixtures.path("golden/t5-v1.0/llm")
        let model = try ModelFolder(path: original, adapter: adapter)
        let path = scratch.path + "/llm"
        try FileManager.default.removeItem(atPath: path + "/model.safetensors")
        try SafetensorsWriter.write(
            model.weights.names.map { try model.weights.tensor($0).stored }, metadata: [:],
            to: path + "/model.safetensors")
        return path
    }

    private func outputs(_ types: [JobType]) async throws -> [String: [[Int32]?]] {
        let library = try ModelLibrary(jobTypes: types, modelsFolder: "/")
        let pipeline = Pipeline(library: library, settings: PipelineTests.settings[0])
        defer { pipeline.stop() }
        let texts = try Golden.load("t5-v1.0").cases.map(\.document)
            .filter { !$0.allSatisfy(\.isWhitespace) }
        let finished = await pipeline.process(
            types.enumerated().flatMap { index, type in
                texts.enumerated().map {
                    SourceDocument(id: Int64(1_000 * index + $0), jobType: type.name, text: $1)
                }
            })
        let all = types.enumerated().map { index, type in
            (type.name, texts.indices.map { finished[Int64(1_000 * index + $0)]?.tokens })
        }
        return Dictionary(uniqueKeysWithValues: all)
    }

    @Test func itWritesWhatTheMergedModelWrites() async throws {
        let adapter = try writeAdapter()
        var merged = try type("merged", adapter: nil)
        merged.llm = try writeMerged(adapter)
        let outputs = try await outputs([
            type("plain", adapter: nil), type("adapted", adapter: adapter), merged,
        ])
        #expect(outputs["adapted"] == outputs["merged"])
        #expect(outputs["adapted"] != outputs["plain"])
        #expect(outputs["adapted"]?.contains { $0 == nil } == false)
    }

    @Test func oneModelWithTwoAdaptersIsToldToBeTwo() throws {
        let adapter = try writeAdapter()
        let types = [try type("plain", adapter: nil), try type("adapted", adapter: adapter)]
        let library = try ModelLibrary(jobTypes: types, modelsFolder: "/")
        #expect(library.encoders.count == 2)
        let words = try #require(library.warnings.first { $0.contains("2 large models") })
        #expect(words.contains("with the adapter \(adapter): adapted"))
        #expect(words.contains("without an adapter: plain"))
        // The same adapter twice is one model.
        let same = [try type("one", adapter: adapter), try type("two", adapter: adapter)]
        let shared = try ModelLibrary(jobTypes: same, modelsFolder: "/")
        #expect(shared.encoders.count == 1 && shared.warnings.isEmpty)
    }

    @Test func aSmallModelOfThePlainLargeOneIsRefused() throws {
        let adapter = try writeAdapter()
        try scratch.copy(fixture: "golden/hybrid-t5-cross/llm")
        try scratch.copy(fixture: "golden/hybrid-t5-cross/slm")
        let llm = try ModelFolder(path: scratch.path + "/llm")
        let file = URL(filePath: scratch.path + "/slm/l2s.json")
        var fields =
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
        fields["llm_fingerprint"] = llm.weights.fingerprint
        try JSONSerialization.data(withJSONObject: fields).write(to: file)
        var type = try goldenType("hybrid-t5-cross")
        (type.llm, type.slm) = (scratch.path + "/llm", scratch.path + "/slm")
        _ = try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        type.adapter = adapter
        #expect {
            try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        } throws: {
            "\($0)".contains("with the adapter \(adapter)")
        }
    }

    /// The large model reads with one adapter, and the small model is made of its layers with
    /// another.
    @Test func layersStoredAsAnAdapterWriteUponWhatAnotherReads() async throws {
        let cut = try CutFolder(.gguf)
        let reading = try CutFolder(.gguf, adapted: [0, 1, 2], rank: 3)
        var types: [JobType] = []
        for (name, adapter) in [("plain", nil), ("adapted", reading.slm)] {
            var hybrid = try type(name, adapter: adapter)
            (hybrid.mode, hybrid.llm, hybrid.slm) = (.hybrid, cut.llm, cut.slm)
            types.append(hybrid)
        }
        let outputs = try await outputs(types)
        #expect(outputs["adapted"]?.contains { $0 == nil } == false)
        #expect(outputs["adapted"] != outputs["plain"])
        let fingerprint = try ModelFolder(path: cut.llm, adapter: reading.slm).weights.fingerprint
        try cut.scratch.write(
            "slm/l2s.json",
            """
            {"format": 2, "llm": "../llm", "fusion": "layers", "layers": [0, 2],
             "llm_fingerprint": "\(fingerprint)"}
            """.utf8)
        _ = try ModelLibrary(jobTypes: [types[1]], modelsFolder: "/")
        #expect(throws: ModelLibraryError.self) {
            try ModelLibrary(jobTypes: [types[0]], modelsFolder: "/")
        }
    }
}
