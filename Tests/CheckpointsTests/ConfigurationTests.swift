import Checkpoints
import FoundationEssentials
import TestSupport
import Testing

/// config.json: defaults, tolerated contradictions, and what is refused.
@Suite struct ConfigurationTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
        try folder.write("model.safetensors", SafetensorsBuilder.file(header: "{}"))
    }

    private static let t5 = [
        "model_type": "\"t5\"", "d_model": "512", "d_kv": "64", "d_ff": "2048", "num_layers": "6",
        "num_heads": "8",
    ]
    private static let gpt2 = [
        "model_type": "\"gpt2\"", "n_embd": "768", "n_layer": "12", "n_head": "12",
    ]

    /// - Parameter changes: fields to add or replace by JSON; nil takes one out.
    private func open(
        _ base: [String: String], _ changes: [String: String?]
    ) throws -> ModelConfiguration {
        var fields = base
        for (name, value) in changes { fields[name] = value }
        let json = fields.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
        try folder.write("config.json", "{\(json)}".utf8)
        return try ModelFolder(path: folder.path).configuration
    }

    private func t5(_ changes: [String: String?] = [:]) throws -> T5Configuration {
        guard case .t5(let configuration) = try open(Self.t5, changes) else { throw NotT5() }
        return configuration
    }

    private struct NotT5: Error {}

    @Test func oldT5FilesHaveDefaults() throws {
        let configuration = try t5()
        #expect(configuration.decoderLayers == 6)
        #expect(configuration.relativeBuckets == 32)
        #expect(configuration.relativeMaximumDistance == 128)
        #expect(configuration.epsilon == 1e-6)
        #expect((configuration.padID, configuration.startID, configuration.endID) == (0, 0, 1))
        #expect(configuration.scalesLogits && configuration.tiesEmbeddings)
        #expect(!configuration.hasBiasPerBlock)
    }

    @Test func defaultsOfGPT2() throws {
        guard case .gpt2(let configuration) = try open(Self.gpt2, ["n_inner": "null"]) else {
            Issue.record("expected a GPT-2")
            return
        }
        #expect(configuration.feedForwardWidth == 3_072)
        #expect(configuration.positions == 1_024)
        #expect(configuration.epsilon == 1e-5)
        #expect((configuration.beginID, configuration.endID) == (50_256, 50_256))
        guard case .gpt2(let old) = try open(Self.gpt2, ["n_ctx": "2048", "n_inner": "100"]) else {
            return
        }
        #expect((old.positions, old.feedForwardWidth) == (2_048, 100))
    }

    @Test(arguments: [
        ("\"t5\"", nil, nil, true), ("\"t5\"", "true", nil, true), ("\"t5\"", "false", nil, false),
        ("\"mt5\"", nil, nil, false), ("\"umt5\"", "true", nil, false),
        ("\"t5\"", "true", "false", false), ("\"t5\"", "false", "true", true),
        ("\"mt5\"", "true", "true", true), ("\"t5\"", nil, "null", true),
    ])
    func scaleOfLogits(type: String, tied: String?, scaled: String?, expected: Bool) throws {
        let configuration = try t5([
            "model_type": type, "tie_word_embeddings": tied, "scale_decoder_outputs": scaled,
        ])
        #expect(configuration.scalesLogits == expected)
    }

    /// MADLAD-3B's numbers, and T5-3B's inner width of four times its model width.
    @Test func unusualIsNotWrong() throws {
        let madlad = try t5([
            "pad_token_id": "1", "eos_token_id": "2", "decoder_start_token_id": "0",
            "feed_forward_proj": "\"gated-gelu\"", "tie_word_embeddings": "false",
        ])
        #expect((madlad.padID, madlad.endID, madlad.startID) == (1, 2, 0))
        let large = try t5(["d_model": "1024", "d_kv": "128", "num_heads": "32"])
        #expect(large.innerWidth == 4_096)
        #expect(try t5(["num_layers": "0", "num_decoder_layers": "1"]).encoderLayers == 0)
        #expect(try t5(["eos_token_id": "[1, 7]"]).endIDs == [1, 7])
        #expect(try t5(["model_type": "\"umt5\""]).hasBiasPerBlock)
        #expect(try t5(["pad_token_id": "3"]).startID == 3)
        // Fields that l2s does not use may hold anything.
        #expect(throws: Never.self) {
            try t5(["task_specific_params": "{\"a\": {\"b\": [[1], {}]}}", "dropout_rate": "1e400"])
        }
        // These fields contradict each other, as in published files. The weights decide.
        #expect(throws: Never.self) {
            try t5(["feed_forward_proj": "\"relu\"", "is_gated_act": "true"])
        }
    }

    private func refused(
        _ base: [String: String], _ field: String, _ value: String?,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let found = problem(sourceLocation: sourceLocation) { _ = try open(base, [field: value]) }
        guard case .field(let name, _, _)? = found else {
            Issue.record("got \(String(describing: found))", sourceLocation: sourceLocation)
            return
        }
        #expect(name == field, sourceLocation: sourceLocation)
    }

    @Test(arguments: [
        "0", "-1", "1.5", "1e30", "1e400", "9223372036854775808", "1048577", "\"512\"", "null",
        "true", "[512]", "{}", nil,
    ])
    func uselessSizes(value: String?) {
        for field in ["d_model", "d_kv", "d_ff", "num_heads"] { refused(Self.t5, field, value) }
        for field in ["n_embd", "n_layer", "n_head"] { refused(Self.gpt2, field, value) }
    }

    @Test(arguments: [
        ("layer_norm_epsilon", "0"), ("layer_norm_epsilon", "-1e-6"),
        ("layer_norm_epsilon", "1e400"), ("layer_norm_epsilon", "1e300"),
        ("layer_norm_epsilon", "\"1e-6\""), ("num_layers", "-1"), ("num_layers", "1025"),
        ("num_decoder_layers", "-1"), ("eos_token_id", "-1"), ("eos_token_id", "[]"),
        ("eos_token_id", "[1, -1]"), ("eos_token_id", "2147483648"), ("eos_token_id", "\"</s>\""),
        ("pad_token_id", "-1"), ("decoder_start_token_id", "1e10"),
        ("tie_word_embeddings", "1"), ("scale_decoder_outputs", "\"no\""),
        ("relative_attention_num_buckets", "0"), ("relative_attention_num_buckets", "30"),
        ("relative_attention_max_distance", "0"), ("feed_forward_proj", "\"gated-silu\""),
        ("feed_forward_proj", "3"),
    ])
    func uselessFieldsOfT5(field: String, value: String) { refused(Self.t5, field, value) }

    @Test(arguments: [
        ("n_embd", "100"), ("n_positions", "0"), ("n_inner", "-4"), ("eos_token_id", "-1"),
        ("activation_function", "\"relu\""), ("scale_attn_weights", "false"),
        ("scale_attn_by_inverse_layer_idx", "true"),
    ])
    func uselessFieldsOfGPT2(field: String, value: String) { refused(Self.gpt2, field, value) }

    @Test(arguments: ["\"longt5\"", "\"bert\"", "\"gemma\"", "\"T5\"", "7", nil])
    func unknownModelTypes(type: String?) {
        #expect(
            problem { _ = try open(Self.t5, ["model_type": type]) }
                == .field(
                    name: "model_type",
                    expected: "t5 or mt5 or umt5 or gpt2 or llama or mistral or qwen2 or qwen3 or "
                        + "gemma2 or gemma3_text or t5gemma or marian or bart or mbart or pegasus or "
                        + "blenderbot or m2m_100", found: type ?? "nothing"))
    }

    @Test(arguments: ["", " ", "[]", "{", "{\"a\": NaN}", "\u{0}", "null"])
    func noJSONObject(text: String) throws {
        try folder.write("config.json", text.utf8)
        guard case .malformed? = problem({ _ = try ModelFolder(path: folder.path) }) else {
            Issue.record("expected a malformed file")
            return
        }
    }

    // MARK: l2s.json

    private func manifest(_ json: String) throws -> SLMManifest {
        try folder.write("l2s.json", json.utf8)
        return try SLMManifest(folder: folder.path)
    }

    @Test func manifestPaths() throws {
        let relative = try manifest(#"{"format": 1, "llm": "../llm", "fusion": "replace"}"#)
        #expect(relative.llmPath == folder.path + "/../llm")
        #expect(relative.fusion == .replace && relative.promptEmbedding == .slm)
        #expect(try manifest(#"{"format":1,"llm":"/m","fusion":"add"}"#).llmPath == "/m")
    }

    @Test(arguments: [
        (#"{"format": 3, "llm": "../llm", "fusion": "add"}"#, "format"),
        (#"{"format": 1, "llm": "../llm", "fusion": "add", "llm_layer": 3}"#, "format"),
        (#"{"format": 2, "llm": "../llm", "fusion": "add", "llm_layer": 0}"#, "llm_layer"),
        (#"{"format": 2, "llm": "../llm", "fusion": "add", "layers": [1]}"#, "layers"),
        (#"{"format": 2, "llm": "../llm", "fusion": "layers"}"#, "layers"),
        (#"{"format": 2, "llm": "../llm", "fusion": "layers", "layers": [2, 1]}"#, "layers"),
        (#"{"format": 2, "llm": "../llm", "fusion": "layers", "layers": [-1]}"#, "layers"),
        (#"{"llm": "../llm", "fusion": "add"}"#, "format"),
        (#"{"format": 1, "fusion": "add"}"#, "llm"),
        (#"{"format": 1, "llm": "", "fusion": "add"}"#, "llm"),
        (#"{"format": 1, "llm": "a\u0000b", "fusion": "add"}"#, "llm"),
        (#"{"format": 1, "llm": "../llm", "fusion": "concat"}"#, "fusion"),
        (#"{"format": 1, "llm": "../llm"}"#, "fusion"),
        (
            #"{"format": 1, "llm": "../llm", "fusion": "add", "prompt_embedding": 1}"#,
            "prompt_embedding"
        ),
    ])
    func uselessManifests(json: String, field: String) {
        guard case .field(field, _, _)? = problem({ _ = try manifest(json) }) else {
            Issue.record("expected \(field) to be refused")
            return
        }
    }

    @Test func missingManifest() {
        #expect(
            problem { _ = try SLMManifest(folder: folder.path) } == .noneOf(files: ["l2s.json"]))
    }
}
