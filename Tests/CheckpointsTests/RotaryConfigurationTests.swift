import FoundationEssentials
import TestSupport
import Testing

@testable import Checkpoints

/// config.json of the families with rotary positions, as transformers 4 and 5 spell it.
@Suite struct RotaryConfigurationTests {
    private static let llama = [
        "model_type": "\"llama\"", "hidden_size": "2048", "intermediate_size": "8192",
        "num_hidden_layers": "16", "num_attention_heads": "32", "num_key_value_heads": "8",
        "max_position_embeddings": "131072",
    ]

    private func open(_ changes: [String: String?] = [:]) throws -> RotaryConfiguration {
        var fields = Self.llama
        for (name, value) in changes { fields[name] = value }
        let json = fields.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
        guard
            case .rotary(let rotary) = try ModelConfiguration(
                Data("{\(json)}".utf8), path: "config.json")
        else { throw NotRotary() }
        return rotary
    }

    private struct NotRotary: Error {}

    @Test(arguments: ["llama", "gemma3", "t5gemma"])
    func bothSpellingsAreTheSameModel(name: String) throws {
        let folder = Fixtures.path("golden/\(name)")
        let new = try ModelFolder(path: folder + "/llm").configuration
        let generation = try JSONFields(path: folder + "/llm/generation_config.json")
        let old = try ModelConfiguration(
            fields: JSONFields(path: folder + "/config.transformers4.json"),
            generation: generation)
        #expect(new == old)
    }

    @Test func gemma3HasTwoKindsOfLayers() throws {
        guard
            case .rotary(let gemma) = try ModelFolder(path: Fixtures.path("golden/gemma3/llm"))
                .configuration
        else { throw NotRotary() }
        #expect(gemma.layers.map(\.window) == [8, 8, nil, 8])
        #expect(gemma.layers.map(\.rotation.theta) == [1e4, 1e4, 1e6, 1e4])
        #expect(gemma.attentionScale == 1 / Float(24).squareRoot())
        #expect(gemma.endIDs == [1, 262])
        #expect(gemma.tiesEmbeddings && gemma.normsAddOne && gemma.hasHeadNorms)
        #expect((gemma.group, gemma.queryWidth, gemma.keyValueWidth) == (4, 64, 16))
    }

    @Test func windowsOfEachFamily() throws {
        func windows(_ changes: [String: String?]) throws -> [Int?] {
            try open(["num_hidden_layers": "4", "head_dim": "64"].merging(changes) { $1 }).layers
                .map(\.window)
        }
        #expect(try windows(["sliding_window": "8"]) == [nil, nil, nil, nil])
        #expect(try windows(["model_type": "\"mistral\"", "sliding_window": "8"]) == [8, 8, 8, 8])
        let none = ["model_type": "\"mistral\"", "sliding_window": "null"]
        #expect(try windows(none) == [nil, nil, nil, nil])
        #expect(try windows(["model_type": "\"mistral\""]) == [4096, 4096, 4096, 4096])
        let qwen = ["model_type": "\"qwen2\"", "sliding_window": "8", "max_window_layers": "3"]
        #expect(try windows(qwen) == [nil, nil, nil, nil])
        #expect(
            try windows(qwen.merging(["use_sliding_window": "true"]) { $1 }) == [nil, nil, nil, 8])
        #expect(
            try windows(["model_type": "\"gemma2\"", "sliding_window": "8"]) == [8, nil, 8, nil])
        let types = "[\"full_attention\", \"sliding_attention\", \"full_attention\", "
        let gemma = [
            "model_type": "\"gemma3_text\"", "sliding_window": "8",
            "layer_types": types + "\"full_attention\"]", "_sliding_window_pattern": "6",
        ]
        #expect(try windows(gemma) == [nil, 8, nil, nil])
    }

    /// Values of transformers 5.24 for Llama 3.2 1B's settings.
    @Test func scalingOfLlama3() throws {
        let scaling = """
            {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
             "original_max_position_embeddings": 8192, "rope_type": "llama3"}
            """
        let rotary = try open(["rope_theta": "500000.0", "rope_scaling": scaling])
        let rotation = rotary.layers[0].rotation
        #expect(
            rotation
                == Rotation(
                    theta: 500_000,
                    scaling: .llama3(factor: 32, low: 1, high: 4, trainedPositions: 8_192)))
        let found = rotation.frequencies(headWidth: 64)
        #expect(found.count == 32 && found[0] == 1)
        for (pair, expected) in [
            (8, 0.03760603070259094), (14, 0.0032114461064338684), (16, 0.000429556705057621),
            (18, 1.9461638657958247e-05), (31, 9.418306490260875e-08),
        ] as [(Int, Float)] {
            #expect(abs(found[pair] - expected) <= 1e-5 * expected, "\(pair): \(found[pair])")
        }
    }

    @Test func defaultsOfEachFamily() throws {
        let llama = try open(["num_key_value_heads": nil])
        #expect((llama.keyValueHeads, llama.headWidth, llama.epsilon) == (32, 64, 1e-6))
        #expect(!llama.tiesEmbeddings && !llama.hasQueryKeyValueBias && llama.logitCap == nil)
        let gemma = try open(["model_type": "\"gemma2\""])
        #expect((gemma.headWidth, gemma.attentionCap, gemma.logitCap) == (256, 50, 30))
        #expect(gemma.tiesEmbeddings && !gemma.hasHeadNorms && gemma.endIDs == [1])
        let free = try open(["model_type": "\"gemma2\"", "attn_logit_softcapping": "null"])
        #expect(free.attentionCap == nil)
        let qwen = try open(["model_type": "\"qwen2\""])
        #expect(qwen.hasQueryKeyValueBias && !qwen.hasOutputBias)
        #expect(try open(["model_type": "\"qwen3\""]).headWidth == 128)
    }

    @Test(arguments: [
        ("num_key_value_heads", "5"), ("num_key_value_heads", "0"), ("head_dim", "7"),
        ("hidden_act", "\"relu\""), ("num_hidden_layers", "0"), ("rope_theta", "\"much\""),
        ("rope_scaling", "7"), ("max_position_embeddings", nil),
        ("partial_rotary_factor", "0.5"),
    ])
    func whatWouldRunAndBeWrongIsRefused(field: String, value: String?) {
        let error = #expect(throws: CheckpointError.self) { try open([field: value]) }
        guard case .field(field, _, _)? = error?.problem else {
            Issue.record("got \(String(describing: error))")
            return
        }
    }

    @Test func anUnknownFamilyIsNamedWithThoseThatAreKnown() {
        let error = #expect(throws: CheckpointError.self) {
            try open(["model_type": "\"mamba\""])
        }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains("mamba") && text.contains("qwen3") && text.contains("t5gemma"))
    }

    @Test func anUnknownScalingIsNamedWithItsPlace() {
        let error = #expect(throws: CheckpointError.self) {
            try open(["rope_parameters": "{\"rope_type\": \"yarn\", \"factor\": 4}"])
        }
        #expect(error.map { "\($0)".contains("rope_parameters.rope_type") } == true)
    }
}
