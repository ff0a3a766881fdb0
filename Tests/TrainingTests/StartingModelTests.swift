import Checkpoints
import Foundation
import Inference
import Jobs
import Pipeline
import Settings
import TestSupport
import Testing

@testable import Training

@Suite struct StartingModelTests {
    /// The projector starts as the identity, so a decoder of all layers is the LLM's own.
    @Test(arguments: ["t5-v1.0", "t5-v1.1", "t5-resaved"])
    func aDecoderCutWithAllItsLayersWritesWhatTheLLMWrites(_ golden: String) async throws {
        let folder = try TinyModels(golden)
        guard case .t5(let t5) = try folder.llm().configuration else { return }
        let layers = (0..<t5.decoderLayers).map(String.init).joined(separator: ",")
        let recipe = try folder.recipe("llm: llm\nstart: {llm_layers: \"\(layers)\"}")
        try folder.write(folder.start(recipe), recipe)
        let documents = try goldenDocuments(golden)
        let own = try await folder.outputs(of: folder.jobType(.llm, slm: nil), documents)
        let cut = try await folder.outputs(of: folder.jobType(.hybrid, slm: "trained"), documents)
        #expect(own == cut)
        #expect(own.contains { $0.count > 3 })
    }

    @Test func oneLayerOfTheDecoderKeepsTheTableOfBiases() throws {
        let folder = try TinyModels("t5-v1.1")
        let last = 1
        let recipe = try folder.recipe("llm: llm\nstart: {llm_layers: \"\(last)\"}")
        let start = try folder.start(recipe)
        guard case .t5(let t5) = start.configuration else { return }
        #expect(t5.decoderLayers == 1)
        #expect(t5.encoderLayers == 0)
        let weights = try folder.llm().weights
        func isCopy(_ name: String, of stored: String) throws -> Bool {
            let tensor = try #require(start.tensors.first { $0.name == name })
            let other = FloatBuffer(count: tensor.values.count)
            try other.withFloats { try weights.tensor(stored).read(into: $0) }
            return tensor.values.withFloats { own in
                other.withFloats { own.elementsEqual($0) }
            }
        }
        #expect(
            try isCopy(
                "decoder.block.0.layer.0.SelfAttention.q.weight",
                of: "decoder.block.\(last).layer.0.SelfAttention.q.weight"))
        let bias = "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        #expect(try isCopy(bias, of: bias))
        // transformers refuses a whole number for this field, and expects the norm of an encoder
        // even where there is no encoder.
        let text = String(decoding: start.configurationText, as: UTF8.self)
        #expect(text.contains("\"initializer_factor\": 1.0"))
        try folder.write(start, recipe)
        let written = try ModelFolder(path: folder.path + "/trained")
        #expect(written.weights.contains("encoder.final_layer_norm.weight"))
    }

    @Test func aLayerThatTheLLMDoesNotHaveIsNamed() throws {
        let folder = try TinyModels("t5-v1.0")
        let recipe = try folder.recipe("llm: llm\nstart: {llm_layers: \"0, 9\"}")
        #expect {
            try folder.start(recipe)
        } throws: { error in
            "\(error)".contains("expected start.llm_layers below") && "\(error)".contains("found 9")
        }
    }

    /// What is read and written again is the same model.
    @Test(arguments: [
        ("hybrid-t5-cross", "t5_decoder"), ("hybrid-t5-add", "t5"),
        ("hybrid-gpt2-add", "gpt2\nprompt_embedding: llm"),
    ])
    func aCheckpointIsReadAndWrittenAsItIs(_ golden: String, _ architecture: String) async throws {
        let folder = try TinyModels(golden)
        let recipe = try folder.recipe(
            "llm: llm\narchitecture: \(architecture)\nstart: {checkpoint: slm}")
        try folder.write(folder.start(recipe), recipe)
        let documents = try goldenDocuments(golden)
        let before = try await folder.outputs(of: folder.jobType(.hybrid, slm: "slm"), documents)
        let after = try await folder.outputs(
            of: folder.jobType(.hybrid, slm: "trained"), documents)
        #expect(before == after)
        #expect(before.contains { $0.count > 3 })
    }

    @Test(arguments: [
        "t5_decoder", "t5", "t5\nfusion: replace", "gpt2", "gpt2\nprompt_embedding: llm",
    ])
    func newWeightsAreAModelThatTheWorkerLoads(_ architecture: String) async throws {
        let folder = try TinyModels("t5-v1.0")
        let recipe = try folder.recipe(
            "llm: llm\narchitecture: \(architecture)\nsizes: {width: 16, heads: 2, head_width: 8}")
        let start = try folder.start(recipe)
        try folder.write(start, recipe)
        let outputs = try await folder.outputs(
            of: folder.jobType(.hybrid, slm: "trained"), ["How are you?"])
        #expect(outputs[0].count == 24 || outputs[0].last == 1)
    }

    @Test func aWholeT5HasNoProjector() async throws {
        let folder = try TinyModels("t5-v1.1")
        let recipe = try folder.recipe("architecture: whole_t5\nstart: {checkpoint: llm}")
        let start = try folder.start(recipe)
        try folder.write(start, recipe)
        #expect(start.additions.isEmpty)
        #expect(!SLMManifest.exists(in: folder.path + "/trained"))
        let documents = try goldenDocuments("t5-v1.1")
        let own = try await folder.outputs(of: folder.jobType(.llm, slm: nil), documents)
        let again = try await folder.outputs(of: folder.jobType(.slm, slm: "trained"), documents)
        #expect(own == again)
    }

    /// The tokenizer ends every text with a token that the model has no vector for.
    @Test func tokensBeyondTheModelsTableAreRefused() throws {
        let folder = try TinyModels("t5-v1.1")
        try FileManager.default.removeItem(atPath: folder.path + "/llm/spiece.model")
        try folder.scratch.write(
            "llm/tokenizer.json",
            #"""
            {"pre_tokenizer": {"type": "Metaspace"}, "decoder": {"type": "Metaspace"},
             "post_processor": {"type": "TemplateProcessing",
              "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
              "special_tokens": {"</s>": {"ids": [4000]}}},
             "model": {"type": "Unigram", "unk_id": 0,
              "vocab": [["<unk>", 0], ["</s>", 0], ["a", -1], ["\u2581", -1]]}}
            """#.utf8)
        let pairs = try folder.scratch.write(
            "pairs.jsonl", #"{"source": "a a", "target": "a"}"#.utf8)
        let recipe = try TrainingRecipe(
            parsing: """
                output: trained
                prompt: "{document}"
                architecture: whole_t5
                start: {checkpoint: llm}
                data: {train: \(pairs), validation: \(pairs)}
                length: {steps: 1}
                """, file: "recipe.yaml")
        #expect {
            try TrainingRun(recipe, modelsFolder: folder.path)
        } throws: {
            guard case .tokenOutsideVocabulary(_, 4_000, 1_500)? = $0 as? InferenceError else {
                return false
            }
            return true
        }
    }

    @Test func theSameSeedGivesTheSameWeights() throws {
        let folder = try TinyModels("t5-v1.0")
        func weights(_ seed: Int) throws -> [[Float]] {
            try folder.start(folder.recipe("llm: llm\nseed: \(seed)\nsizes: {width: 16, heads: 2}"))
                .tensors.map { $0.values.withFloats { Array($0) } }
        }
        #expect(try weights(1) == weights(1))
        #expect(try weights(1) != weights(2))
    }

    @Test func aMissingTensorIsNamed() throws {
        let folder = try TinyModels("hybrid-t5-cross")
        // The SLM's configuration says that its decoder has more layers.
        let path = folder.path + "/slm/config.json"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let layers = try #require(text.firstMatch(of: /"num_decoder_layers": (\d+)/))
        let more = text.replacing(layers.output.0, with: "\"num_decoder_layers\": 7")
        try folder.scratch.write("slm/config.json", more.utf8)
        let recipe = try folder.recipe("llm: llm\nstart: {checkpoint: slm}")
        #expect {
            try folder.start(recipe)
        } throws: { error in
            "\(error)".contains("expected a tensor \"decoder.block.")
        }
    }
}
