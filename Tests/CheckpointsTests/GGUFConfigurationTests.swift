import Checkpoints
import Foundation
import TestSupport
import Testing

/// The metadata of a GGUF file and a config.json that say the same give the same configuration.
@Suite struct GGUFConfigurationTests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private func configuration(_ builder: GGUFBuilder) throws -> ModelConfiguration {
        try ModelFolder(path: folder.write("model.gguf", builder.bytes)).configuration
    }

    private func configuration(_ json: String) throws -> ModelConfiguration {
        try ModelConfiguration(Data(json.utf8), path: "config.json")
    }

    private func number(_ value: Float) -> [UInt8] { value.bitPattern.bytes }

    @Test(arguments: ["llama-f16", "llama-q8_0", "llama-q4_0"])
    func theGoldenFilesOpen(name: String) throws {
        let model = try ModelFolder(path: Fixtures.path("golden/gguf-llama/\(name).gguf"))
        let expected = try configuration(
            """
            {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 3, "head_dim": 8,
             "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
             "max_position_embeddings": 2048, "rope_theta": 100000.0, "vocab_size": 1100,
             "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "bos_token_id": 1,
             "eos_token_id": 2, "pad_token_id": 2, "attention_bias": false, "mlp_bias": false}
            """)
        #expect(model.configuration == expected)
        _ = try model.weights.tensor("model.layers.2.mlp.down_proj.weight", shape: [32, 64])
    }

    @Test func gemma3IsDescribedAsHuggingFaceDoes() throws {
        var builder = GGUFBuilder(architecture: "gemma3")
        builder.add("gemma3.attention.head_count_kv", 1)
        builder.add("gemma3.attention.key_length", 4)
        builder.add("gemma3.attention.sliding_window", 16)
        builder.pairs.append(("gemma3.rope.freq_base", 6, number(1_000_000)))
        builder.pairs.append(("gemma3.attention.layer_norm_rms_epsilon", 6, number(1e-6)))
        builder.add("gemma3.rope.scaling.type", "linear")
        builder.pairs.append(("gemma3.rope.scaling.factor", 6, number(8)))
        builder.add("tokenizer.ggml.eos_token_id", 1)
        builder.add("tokenizer.ggml.eot_token_id", 3)
        let expected = try configuration(
            """
            {"model_type": "gemma3_text", "hidden_size": 8, "num_hidden_layers": 1, "head_dim": 4,
             "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1,
             "max_position_embeddings": 64, "rope_theta": 1000000.0, "rms_norm_eps": 1e-6,
             "rope_local_base_freq": 10000.0, "sliding_window": 16, "sliding_window_pattern": 6,
             "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "query_pre_attn_scalar": 4,
             "hidden_activation": "gelu_pytorch_tanh", "eos_token_id": [1, 3]}
            """)
        #expect(try configuration(builder) == expected)
    }

    /// The divisor of each frequency, as llama.cpp's converter computes it.
    private func divisors(factor: Float, channels: Int) -> [Float] {
        (0..<channels).map { index in
            let wave = 2 * Double.pi * pow(500_000, Double(index) / Double(channels))
            if wave < 2_048 { return 1 }
            if wave > 8_192 { return factor }
            let smooth = (8_192 / wave - 1) / 3
            return Float(1 / ((1 - smooth) / Double(factor) + smooth))
        }
    }

    @Test func theFrequenciesOfLlama3AreRecognized() throws {
        var builder = GGUFBuilder()
        builder.pairs.append(("llama.rope.freq_base", 6, number(500_000)))
        builder.pairs.append(("llama.attention.layer_norm_rms_epsilon", 6, number(1e-5)))
        builder.add("rope_freqs.weight", [32], divisors(factor: 32, channels: 32))
        builder.add("output.weight", [8, 8], .init(repeating: 0, count: 64))
        let expected = try configuration(
            """
            {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1,
             "intermediate_size": 16, "num_attention_heads": 2, "max_position_embeddings": 64,
             "rope_theta": 500000.0, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
             "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}
            """)
        #expect(try configuration(builder) == expected)
        builder.tensors[0].bytes = [UInt8](repeating: 0x40, count: 128)
        #expect {
            try configuration(builder)
        } throws: {
            "\($0)".contains("expected the frequencies of Llama 3")
        }
    }

    @Test func t5IsDescribedAsHuggingFaceDoes() throws {
        var builder = GGUFBuilder(architecture: "t5")
        builder.add("t5.attention.key_length", 4)
        builder.add("t5.decoder_block_count", 2)
        builder.add("t5.attention.relative_buckets_count", 32)
        builder.add("t5.decoder_start_token_id", 0)
        builder.pairs.append(("t5.attention.layer_norm_epsilon", 6, number(1e-6)))
        builder.add("enc.blk.0.ffn_gate.weight", [1, 1], [1])
        let expected = try configuration(
            """
            {"model_type": "t5", "d_model": 8, "num_layers": 1, "num_decoder_layers": 2, "d_ff": 16,
             "num_heads": 2, "d_kv": 4, "layer_norm_epsilon": 1e-6,
             "feed_forward_proj": "gated-gelu"}
            """)
        #expect(try configuration(builder) == expected)
    }

    @Test func expertsAndMissingSizesAreNamed() throws {
        var builder = GGUFBuilder()
        builder.add("llama.expert_count", 8)
        let path = try folder.write("experts.gguf", builder.bytes)
        guard case .field(let name, _, "8")? = problem({ _ = try ModelFolder(path: path) }) else {
            Issue.record("expected a refusal")
            return
        }
        #expect(name.contains("llama.expert_count"))
        builder.pairs.removeAll { $0.key == "llama.expert_count" || $0.key == "llama.block_count" }
        let other = try folder.write("sizes.gguf", builder.bytes)
        guard
            case .field(_, "a whole number", "nothing")? = problem({
                _ = try ModelFolder(path: other)
            })
        else {
            Issue.record("expected a refusal")
            return
        }
    }
}
