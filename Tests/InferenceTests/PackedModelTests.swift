import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// A model that was packed ahead of time equals the model that is packed while it is read.
@Suite struct PackedModelTests {
    @Test(arguments: GoldenTests.all, WeightFormat.allCases)
    func sameBitsAsPackingAtLoad(name: String, format: WeightFormat) throws {
        let packed = try PackedGolden(name, format)
        let fresh = try GoldenModel(name, format: format)
        let mapped = try GoldenModel(name, format: format, in: packed.folder.path)
        let prompts = try Golden.load(name).cases.map(\.inputIds)
        let (freshStates, mappedStates) = (fresh.encode(prompts), mapped.encode(prompts))
        for (left, right) in zip(freshStates, mappedStates) {
            #expect(left.withFloats { left in right.withFloats { left.elementsEqual($0) } })
        }
        for beams in [1, 3] {
            let options = DecodingOptions(maximumNewTokens: 16, beams: beams)
            let expected = fresh.write(freshStates, options: options)
            let found = mapped.write(mappedStates, options: options)
            #expect(found.map { $0?.tokens } == expected.map { $0?.tokens })
            #expect(found.map { $0?.score } == expected.map { $0?.score })
            #expect(expected.contains { $0?.tokens.isEmpty == false })
        }
    }

    /// Nothing is copied: all processes that map the file share its pages.
    @Test(arguments: GoldenTests.all, WeightFormat.allCases)
    func matricesLieInTheMapping(name: String, format: WeightFormat) throws {
        let packed = try PackedGolden(name, format)
        for path in packed.models {
            let folder = try ModelFolder(path: path)
            let matrices = try folder.loadedMatrices(format)
            #expect(matrices.count > 4)
            for (name, matrix, _) in matrices {
                let panels = try folder.weights.bytes(of: name + "/panels")
                #expect(matrix.panels.start == panels.bytes.baseAddress)
                #expect(matrix.panels.count == panels.bytes.count)
                #expect(UInt(bitPattern: matrix.panels.start) % 64 == 0)
                #expect((matrix.scales != nil) == [.int8, .int4].contains(matrix.format))
                #expect((matrix.sums != nil) == (matrix.format == .int8))
                if let scales = matrix.scales {
                    let own = try folder.weights.bytes(of: name + "/scales")
                    #expect(scales.start == own.bytes.baseAddress)
                }
                #expect((matrix.lows != nil) == (matrix.format == .int4))
                if let lows = matrix.lows {
                    let own = try folder.weights.bytes(of: name + "/lows")
                    #expect(lows.start == own.bytes.baseAddress)
                }
                if let sums = matrix.sums {
                    #expect(
                        try sums.start
                            == folder.weights.bytes(of: name + "/sums").bytes.baseAddress)
                }
            }
        }
    }

    @Test func theFileSaysWhatStaysInHigherPrecision() throws {
        let packed = try PackedGolden("hybrid-gpt2-add", .int8)
        let slm = try Packing(ModelFolder(path: packed.slm).weights)
        #expect(slm.format == .int8)
        #expect(slm.parts == ["decoder"])
        #expect(slm.float32.contains("transformer.h.0.attn.c_attn.bias"))
        #expect(slm.embeddings == ["transformer.wte.weight", "transformer.wpe.weight"])
        let llm = try Packing(ModelFolder(path: packed.llm).weights)
        #expect(llm.parts == ["encoder", "decoder"])
        #expect(llm.float32.contains { $0.hasSuffix("relative_attention_bias.weight") })
        #expect(llm.source != slm.source)
        #expect(
            try llm.source
                == ModelFolder(path: Fixtures.path("golden/hybrid-gpt2-add/llm")).weights
                .fingerprint)
    }

    @Test func everyFileOfTheFolderComesAlong() throws {
        let packed = try PackedGolden("hybrid-t5-cross", .bfloat16)
        for name in [
            "config.json", "generation_config.json", "spiece.model", "l2s.json",
            "projector.safetensors",
        ] {
            #expect(
                FileManager.default.contentsEqual(
                    atPath: Fixtures.path("golden/hybrid-t5-cross/slm/" + name),
                    andPath: packed.slm + "/" + name), "\(name)")
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: packed.slm)
        #expect(names.contains("packed.safetensors") && !names.contains("model.safetensors"))
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: packed.folder.path).sorted()
                == ["llm", "slm"])
    }

    @Test func theSameModelGivesTheSameFile() throws {
        let first = try PackedGolden("t5-v1.1", .int8)
        let second = try PackedGolden("t5-v1.1", .int8)
        #expect(
            FileManager.default.contentsEqual(
                atPath: first.llm + "/packed.safetensors",
                andPath: second.llm + "/packed.safetensors"))
    }
}

/// A golden model after `ModelConverter`.
struct PackedGolden {
    let folder: ScratchFolder
    let llm: String
    let slm: String
    /// The folders that were converted.
    let models: [String]

    init(_ name: String, _ format: WeightFormat) throws {
        folder = try ScratchFolder()
        llm = folder.path + "/llm"
        slm = folder.path + "/slm"
        models = name.hasPrefix("hybrid") ? [llm, slm] : [llm]
        for (part, path) in zip(["llm", "slm"], models) {
            _ = try ModelConverter.convert(
                Fixtures.model(name) + "/" + part, to: path, format: format)
        }
    }
}

extension ModelFolder {
    /// Every matrix that the folder's halves load.
    func loadedMatrices(
        _ format: WeightFormat
    ) throws -> [(name: String, matrix: PackedMatrix, scale: Float)] {
        let record = LoadRecord()
        let loader = try WeightLoader(self, format: format, record: record)
        let parts = try Packing(weights).parts
        switch configuration {
        case .gpt2: _ = try GPT2Decoder(self, loader: loader)
        case .rotary(let rotary):
            try RotaryWeights.loadAll(
                rotary, loader: loader, isCut: SLMManifest.exists(in: path))
        case .t5:
            if parts.contains("encoder") { _ = try T5Encoder(self, loader: loader) }
            if parts.contains("decoder") { _ = try T5Decoder(self, loader: loader) }
        case .t5gemma:
            _ = try T5GemmaEncoder(self, loader: loader)
            _ = try T5GemmaDecoder(self, loader: loader)
        case .classic:
            _ = try ClassicEncoder(self, loader: loader)
            _ = try ClassicDecoder(self, loader: loader)
        }
        return record.matrices
    }
}
