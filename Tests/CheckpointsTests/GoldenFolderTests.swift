import Checkpoints
import TestSupport
import Testing

/// Every folder of the goldens opens, with the values its config.json holds.
@Suite struct GoldenFolderTests {
    @Test(arguments: Fixtures.goldens)
    func opensReader(golden: String) throws {
        let model = try ModelFolder(path: Fixtures.path("golden/\(golden)/llm"))
        guard case .t5(let configuration) = model.configuration else {
            Issue.record("expected a T5")
            return
        }
        #expect(configuration.modelWidth == 48)
        #expect(configuration.headWidth == 16)
        #expect(configuration.innerWidth == 64)
        #expect(configuration.feedForwardWidth == 96)
        #expect(configuration.encoderLayers == 3)
        #expect(configuration.decoderLayers == 2)
        #expect(configuration.epsilon == 1e-6)
        #expect(configuration.endIDs == [1])
        #expect(configuration.startID == 0)
        #expect(configuration.scalesLogits == !model.weights.contains(gate))
        let queries = try model.weights.tensor(
            "encoder.block.2.layer.0.SelfAttention.q.weight", shape: [64, 48])
        #expect(queries.format == .float32)
        #expect(queries.count == 64 * 48)
    }

    private let gate = "encoder.block.0.layer.1.DenseReluDense.wi_0.weight"

    @Test func opensGPT2() throws {
        let model = try ModelFolder(path: Fixtures.path("golden/hybrid-gpt2-add/slm"))
        guard case .gpt2(let configuration) = model.configuration else {
            Issue.record("expected a GPT-2")
            return
        }
        #expect(configuration.width == 32)
        #expect(configuration.headWidth == 8)
        #expect(configuration.feedForwardWidth == 128)
        #expect(configuration.positions == 512)
        #expect(configuration.beginID == 1)
        #expect(configuration.endID == 1)
    }

    @Test(arguments: [
        ("hybrid-t5-add", SLMManifest.Fusion.add, SLMManifest.PromptEmbedding.slm, 32),
        ("hybrid-t5-cross", .crossAttention, .slm, 32),
        ("hybrid-gpt2-add", .add, .llm, 32),
    ])
    func opensManifest(
        golden: String, fusion: SLMManifest.Fusion, prompt: SLMManifest.PromptEmbedding, width: Int
    ) throws {
        let folder = Fixtures.path("golden/\(golden)/slm")
        let manifest = try SLMManifest(folder: folder)
        #expect(manifest.fusion == fusion)
        #expect(manifest.promptEmbedding == prompt)
        #expect(throws: Never.self) { try ModelFolder(path: manifest.llmPath) }
        let projector = try WeightFile(path: folder + "/projector.safetensors")
        _ = try projector.tensor("projector.out.weight", shape: [width, nil])
        #expect(projector.contains("prompt_adapter.weight") == (prompt == .llm))
    }
}
