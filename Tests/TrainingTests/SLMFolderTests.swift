import Checkpoints
import Foundation
import Inference
import Jobs
import Pipeline
import TestSupport
import Testing

@testable import Training

@Suite struct SLMFolderTests {
    private func written() throws -> TinyModels {
        let folder = try TinyModels("t5-v1.0")
        let recipe = try folder.recipe("llm: llm\nsizes: {width: 16, heads: 2, head_width: 8}")
        try folder.write(folder.start(recipe), recipe)
        return folder
    }

    private func library(_ folder: TinyModels, models: String? = nil) throws -> ModelLibrary {
        try ModelLibrary(
            jobTypes: [folder.jobType(.hybrid, slm: "trained")],
            modelsFolder: models ?? folder.path)
    }

    @Test func itsLLMIsKnownByItsFingerprint() throws {
        let folder = try written()
        let manifest = try SLMManifest(folder: folder.path + "/trained")
        #expect(manifest.llm == "../llm")
        #expect(try manifest.llmFingerprint == folder.llm().fingerprint)
        #expect(try library(folder).warnings.isEmpty)
    }

    /// Training changes every weight. Here, only those of the last tensors are changed.
    @Test func anotherLLMIsRefused() throws {
        let folder = try written()
        let path = folder.path + "/llm/model.safetensors"
        var bytes = try Data(contentsOf: URL(filePath: path))
        for index in bytes.indices.suffix(20_000) { bytes[index] ^= 1 }
        try bytes.write(to: URL(filePath: path))
        #expect {
            try library(folder)
        } throws: { error in
            "\(error)".contains("expected the llm that the small model was trained with")
                && "\(error)".contains("train the small one again")
        }
    }

    @Test(arguments: WeightFormat.allCases)
    func packingTheLLMKeepsItsFingerprint(_ format: WeightFormat) throws {
        let folder = try written()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/packed", withIntermediateDirectories: false)
        for model in ["llm", "trained"] {
            _ = try ModelConverter.convert(
                folder.path + "/" + model, to: folder.path + "/packed/" + model, format: format)
        }
        let packed = try ModelFolder(path: folder.path + "/packed/llm")
        #expect(try packed.fingerprint == folder.llm().fingerprint)
    }

    @Test func aFolderWithoutAFingerprintIsWarnedOf() throws {
        let folder = try written()
        try folder.scratch.write(
            "trained/l2s.json",
            #"{"format": 1, "llm": "../llm", "fusion": "cross_attention"}"#.utf8)
        let warnings = try library(folder).warnings
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("llm_fingerprint") == true)
    }

    @Test(arguments: [
        ("llm: llm\nsizes: {width: 16, heads: 2}", "projector.safetensors"),
        (
            "architecture: whole_t5\nstart: {tokenizer: llm}\n"
                + "sizes: {width: 16, heads: 2, soft_prompt: 3}",
            SoftPrompt.fileName
        ),
    ])
    func everyTensorIsStoredAsTheRecipeSays(_ more: String, _ file: String) throws {
        let folder = try TinyModels("t5-v1.0")
        let recipe = try folder.recipe("stored: bfloat16\n" + more)
        try folder.write(folder.start(recipe), recipe)
        for name in ["model.safetensors", file] {
            let weights = try WeightFile(path: folder.path + "/trained/" + name)
            #expect(!weights.names.isEmpty)
            for tensor in weights.names {
                #expect(try weights.tensor(tensor).format == .bfloat16, "\(name): \(tensor)")
            }
        }
    }

    @Test func nothingIsLeftWhereItCannotBeWritten() throws {
        let folder = try TinyModels("t5-v1.0")
        let recipe = try folder.recipe("llm: llm\nsizes: {width: 16, heads: 2}")
        let start = try folder.start(recipe)
        try FileManager.default.createDirectory(
            atPath: folder.path + "/trained", withIntermediateDirectories: false)
        try folder.scratch.write("trained/precious", "x".utf8)
        #expect(throws: CheckpointError.self) { try folder.write(start, recipe) }
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(left == ["llm", "trained"])
    }

    @Test func halfTheBitsAreRoundedToTheNearest() {
        let values = FloatBuffer(count: 3)
        // 1 + 2^-8 is half way between two BF16 and goes to the even one.
        values.withFloats { ($0[0], $0[1], $0[2]) = (1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-20, -3) }
        let stored = values.stored(as: "x", shape: [3], format: .bfloat16)
        #expect(Array(stored.bytes) == [0x80, 0x3F, 0x81, 0x3F, 0x40, 0xC0])
    }
}
