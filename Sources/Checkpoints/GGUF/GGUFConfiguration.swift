package import FoundationEssentials
import Glibc

/// The metadata of a GGUF file as the fields of a Hugging Face config.json, so that one reader of
/// configurations serves both.
extension GGUFFile {
    var architecture: GGUFArchitecture {
        get throws {
            let key = "general.architecture"
            let found = try metadata.text(key)
            guard let known = GGUFArchitecture(rawValue: found ?? "") else {
                throw CheckpointError(
                    path: path,
                    problem: .field(
                        name: "the metadata " + quoted(key),
                        expected: GGUFArchitecture.allCases.map(\.rawValue)
                            .joined(separator: " or "),
                        found: found.map(quoted) ?? "nothing"))
            }
            return known
        }
    }

    /// The text of a config.json.
    ///
    /// - Throws: `CheckpointError` for a model family that l2s does not read, or metadata that
    ///   are missing or of another type.
    package var configuration: Data {
        get throws {
            let architecture = try architecture
            var reader = GGUFFields(file: self, prefix: architecture.rawValue + ".")
            switch architecture {
            case .t5: try reader.addT5()
            case .gemma, .gemma2, .gemma3: try reader.addGemma(architecture)
            case .llama, .qwen2, .qwen3: try reader.addRotary(architecture)
            }
            try reader.addTokens()
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            return try encoder.encode(reader.fields)
        }
    }
}

/// Collects the fields of a config.json from the metadata.
private struct GGUFFields {
    let file: GGUFFile
    let prefix: String
    private(set) var fields: [String: Value] = [:]

    init(file: GGUFFile, prefix: String) {
        self.file = file
        self.prefix = prefix
    }

    enum Value: Encodable {
        case whole(Int), number(Double), flag(Bool), text(String), list([Int])
        case named([String: Value])

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .whole(let value): try container.encode(value)
            case .number(let value): try container.encode(value)
            case .flag(let value): try container.encode(value)
            case .text(let value): try container.encode(value)
            case .list(let value): try container.encode(value)
            case .named(let value): try container.encode(value)
            }
        }
    }

    func refuse(_ key: String, _ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(
            path: file.path,
            problem: .field(
                name: "the metadata " + quoted(key), expected: expected, found: found))
    }

    func whole(_ key: String) throws -> Int? { try file.metadata.whole(prefix + key) }

    func wholeOrThrow(_ key: String) throws -> Int {
        guard let value = try whole(key) else {
            throw refuse(prefix + key, "a whole number", "nothing")
        }
        return value
    }

    func number(_ key: String) throws -> Double? {
        guard let value = try file.metadata.number(prefix + key) else { return nil }
        guard value.isFinite else { throw refuse(prefix + key, "a finite number", "\(value)") }
        return value
    }

    mutating func set(_ name: String, _ value: Value?) { fields[name] = value }

    mutating func setWhole(_ name: String, _ key: String) throws {
        set(name, .whole(try wholeOrThrow(key)))
    }

    mutating func setNumber(_ name: String, _ key: String) throws {
        set(name, try number(key).map(Value.number))
    }

    func has(_ tensor: String) -> Bool { file.tensors[tensor] != nil }
}

extension GGUFFields {
    /// Adds the ids of the begin, end and padding tokens. Any of several end tokens ends an output.
    fileprivate mutating func addTokens() throws {
        func id(_ name: String) throws -> Int? {
            try file.metadata.whole("tokenizer.ggml.\(name)_token_id")
        }
        set("bos_token_id", try id("bos").map(Value.whole))
        set("pad_token_id", try id("padding").map(Value.whole))
        // A chat model ends its answer with the end-of-turn token, which may differ from `eos`.
        var ends: [Int] = []
        for end in [try id("eos"), try id("eot")].compactMap(\.self) where !ends.contains(end) {
            ends.append(end)
        }
        set("eos_token_id", ends.count == 1 ? .whole(ends[0]) : ends.isEmpty ? nil : .list(ends))
    }

    /// What Llama, Qwen and Gemma share.
    fileprivate mutating func addRotary(_ architecture: GGUFArchitecture) throws {
        if let experts = try whole("expert_count"), experts > 0 {
            throw refuse(prefix + "expert_count", "0, a model without experts", "\(experts)")
        }
        try setWhole("hidden_size", "embedding_length")
        try setWhole("num_hidden_layers", "block_count")
        try setWhole("intermediate_size", "feed_forward_length")
        let heads = try wholeOrThrow("attention.head_count")
        set("num_attention_heads", .whole(heads))
        set("num_key_value_heads", .whole(try whole("attention.head_count_kv") ?? heads))
        let rotated = try whole("rope.dimension_count")
        let headWidth = try whole("attention.key_length") ?? rotated
        set("head_dim", headWidth.map(Value.whole))
        for key in ["rope.dimension_count", "attention.value_length"] {
            if let headWidth, let found = try whole(key), found != headWidth {
                throw refuse(prefix + key, "the width of a head, \(headWidth)", "\(found)")
            }
        }
        try setWhole("max_position_embeddings", "context_length")
        try setNumber("rms_norm_eps", "attention.layer_norm_rms_epsilon")
        set("rope_theta", .number(try number("rope.freq_base") ?? 10_000))
        try addScaling()
        set("vocab_size", file.tensors["token_embd.weight"].map { .whole($0.shape[0]) })
        set("tie_word_embeddings", .flag(!has("output.weight")))
        set("model_type", .text(architecture.rawValue))
        if architecture == .llama {
            set("attention_bias", .flag(has("blk.0.attn_q.bias")))
            set("mlp_bias", .flag(has("blk.0.ffn_gate.bias")))
            if let window = try whole("attention.sliding_window"), window > 0 {
                set("model_type", .text("mistral"))
                set("sliding_window", .whole(window))
            }
        }
        if architecture == .qwen3 { set("attention_bias", .flag(has("blk.0.attn_q.bias"))) }
    }

    /// Adds how a model reads positions beyond those that it was first trained with.
    private mutating func addScaling() throws {
        if file.tensors["rope_freqs.weight"] != nil {
            return set("rope_scaling", .named(try llama3Scaling()))
        }
        let key = prefix + "rope.scaling.type"
        guard let type = try file.metadata.text(key), type != "none" else { return }
        var scaling: [String: Value] = ["rope_type": .text(type)]
        scaling["factor"] = try number("rope.scaling.factor").map(Value.number)
        scaling["original_max_position_embeddings"] =
            try whole("rope.scaling.original_context_length").map(Value.whole)
        set("rope_scaling", .named(scaling))
    }

    /// GGUF files of Llama 3.1 and later hold the divisor of each frequency. Hugging Face's
    /// configuration holds four numbers from which the divisors follow. Published models differ
    /// only in one of them, the factor.
    private func llama3Scaling() throws -> [String: Value] {
        let name = "rope_freqs.weight"
        let found = try WeightFile(file).tensor(name)
        let divisors = [Float](unsafeUninitializedCapacity: found.count) { buffer, count in
            found.read(into: UnsafeMutableBufferPointer(rebasing: buffer[..<found.count]))
            count = found.count
        }
        let factor = Double(divisors.last ?? 1)
        let theta = try number("rope.freq_base") ?? 10_000
        let (low, high, context) = (1.0, 4.0, 8192.0)
        for (index, divisor) in divisors.enumerated() {
            let wave = 2 * Double.pi * pow(theta, Double(index) / Double(divisors.count))
            let smooth = (context / wave - low) / (high - low)
            let expected =
                if wave < context / high {
                    1.0
                } else if wave > context / low {
                    factor
                } else {
                    1 / ((1 - smooth) / factor + smooth)
                }
            guard abs(Double(divisor) - expected) <= 1e-3 * expected else {
                throw CheckpointError(
                    path: file.path,
                    problem: .malformedTensor(
                        name: name,
                        "expected the frequencies of Llama 3 (from 1 to \(factor), for 8192 "
                            + "positions), found \(divisor) in place of \(expected); use the "
                            + "model's Hugging Face folder"))
            }
        }
        return [
            "rope_type": .text("llama3"), "factor": .number(factor),
            "low_freq_factor": .number(low), "high_freq_factor": .number(high),
            "original_max_position_embeddings": .whole(Int(context)),
        ]
    }

    fileprivate mutating func addGemma(_ architecture: GGUFArchitecture) throws {
        try addRotary(architecture)
        let layers = try wholeOrThrow("block_count")
        let width = try wholeOrThrow("embedding_length")
        let heads = try wholeOrThrow("attention.head_count")
        let headWidth = try whole("attention.key_length") ?? (heads > 0 ? width / heads : 0)
        set("head_dim", .whole(headWidth))
        set("hidden_activation", .text("gelu_pytorch_tanh"))
        guard architecture != .gemma else { return }
        // No GGUF file holds the scale of attention scores. It follows from the head's width,
        // except in two models, which llama.cpp recognizes by their number of layers.
        let hasOtherScale = layers == (architecture == .gemma2 ? 46 : 62) && heads > 0
        set("query_pre_attn_scalar", .whole(hasOtherScale ? width / heads : headWidth))
        try setWhole("sliding_window", "attention.sliding_window")
        if architecture == .gemma2 {
            try setNumber("attn_logit_softcapping", "attn_logit_softcapping")
            try setNumber("final_logit_softcapping", "final_logit_softcapping")
        } else {
            set("model_type", .text("gemma3_text"))
            set("rope_local_base_freq", .number(try number("rope.freq_base_swa") ?? 10_000))
            set("sliding_window_pattern", .whole(try pattern()))
            try setNumber("final_logit_softcapping", "final_logit_softcapping")
        }
    }

    /// One in this many layers has no window.
    private func pattern() throws -> Int {
        let key = prefix + "attention.sliding_window_pattern"
        guard file.metadata.has(key) else { return 6 }
        return try file.metadata.whole(key) ?? 6
    }

    fileprivate mutating func addT5() throws {
        let layers = try wholeOrThrow("block_count")
        try setWhole("d_model", "embedding_length")
        try setWhole("d_ff", "feed_forward_length")
        try setWhole("d_kv", "attention.key_length")
        try setWhole("num_heads", "attention.head_count")
        set("num_layers", .whole(layers))
        set("num_decoder_layers", .whole(try whole("decoder_block_count") ?? layers))
        set(
            "relative_attention_num_buckets",
            try whole("attention.relative_buckets_count").map(Value.whole))
        let epsilon =
            try number("attention.layer_norm_epsilon")
            ?? number("attention.layer_norm_rms_epsilon")
        set("layer_norm_epsilon", epsilon.map(Value.number))
        set("decoder_start_token_id", try whole("decoder_start_token_id").map(Value.whole))
        set("tie_word_embeddings", .flag(!has("output.weight")))
        set("feed_forward_proj", .text(file.isGated ? "gated-gelu" : "relu"))
        // umT5 has a table of positions in every block.
        set("model_type", .text(has("enc.blk.1.attn_rel_b.weight") ? "umt5" : "t5"))
    }
}
