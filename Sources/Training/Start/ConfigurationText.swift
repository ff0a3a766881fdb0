internal import Checkpoints
internal import Foundation
internal import Settings

/// The config.json of the model to be trained, as transformers and the worker read it.
enum ConfigurationText {
    /// The configuration of new weights with the recipe's sizes.
    ///
    /// - Parameters:
    ///   - vocabulary: rows of the embedding.
    ///   - endID: the token that ends an output.
    static func new(
        _ sizes: TrainingRecipe.Sizes, architecture: TrainingRecipe.Architecture,
        vocabulary: Int, endID: Int32
    ) throws -> Data {
        if architecture.isGPT2 {
            return try text([
                "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"],
                "vocab_size": vocabulary, "n_positions": sizes.positions, "n_embd": sizes.width,
                "n_layer": sizes.layers, "n_head": sizes.heads, "n_inner": sizes.feedForward,
                "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
                "bos_token_id": Int(endID), "eos_token_id": Int(endID),
                "attn_pdrop": 0, "embd_pdrop": 0, "resid_pdrop": 0, "tie_word_embeddings": true,
            ])
        }
        return try text([
            "model_type": "t5", "architectures": ["T5ForConditionalGeneration"],
            "vocab_size": vocabulary, "d_model": sizes.width, "d_kv": sizes.headWidth,
            "d_ff": sizes.feedForward, "num_heads": sizes.heads,
            "num_layers": architecture == .t5Decoder ? 0 : sizes.encoderLayers,
            "num_decoder_layers": sizes.layers, "relative_attention_num_buckets": 32,
            "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6,
            "feed_forward_proj": "gated-gelu", "dropout_rate": 0,
            "tie_word_embeddings": false, "scale_decoder_outputs": false,
            "is_encoder_decoder": true, "pad_token_id": 0, "eos_token_id": Int(endID),
            "decoder_start_token_id": 0,
        ])
    }

    /// The configuration of a folder's model, or of a part of it.
    ///
    /// - Parameters:
    ///   - decoderLayers: how many are kept; nil for all.
    ///   - keepsEncoder: whether the encoder stays.
    static func derived(
        from folder: ModelFolder, decoderLayers: Int? = nil, keepsEncoder: Bool
    ) throws -> Data {
        let path = folder.path + "/config.json"
        let bytes = try Data(contentsOf: URL(filePath: path))
        guard case .t5(let t5) = folder.configuration else { return bytes }
        return bytes.setting([
            ("num_decoder_layers", "\(decoderLayers ?? t5.decoderLayers)"),
            ("num_layers", "\(keepsEncoder ? t5.encoderLayers : 0)"),
            // Old configurations do not have it; it follows from the model's type there.
            ("scale_decoder_outputs", "\(t5.scalesLogits)"),
        ])
    }

    /// The same text with the format that the weights are stored in.
    static func naming(_ format: NumberFormat, in text: Data) -> Data {
        let name = format == .bfloat16 ? "bfloat16" : "float32"
        return text.setting([(text.has("torch_dtype") ? "torch_dtype" : "dtype", "\"\(name)\"")])
    }

    private static func text(_ fields: [String: Any]) throws -> Data {
        try JSONSerialization.data(
            withJSONObject: fields, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    }
}

/// A configuration is changed as text. If Foundation read and wrote it, 1.0 would become 1, which
/// transformers refuses for a field of type float.
extension Data {
    fileprivate func setting(_ fields: [(name: String, value: String)]) -> Data {
        var text = String(decoding: self, as: UTF8.self)
        for (name, value) in fields {
            if let found = Self.field(name, in: text) {
                text.replaceSubrange(found, with: "\"\(name)\": \(value)")
            } else if let brace = text.firstIndex(of: "{") {
                text.insert(
                    contentsOf: "\n  \"\(name)\": \(value),", at: text.index(after: brace))
            }
        }
        return Data(text.utf8)
    }

    fileprivate func has(_ name: String) -> Bool {
        Self.field(name, in: String(decoding: self, as: UTF8.self)) != nil
    }

    /// The field from its name's quotation mark to the end of its value, which must hold no comma.
    private static func field(_ name: String, in text: String) -> Range<String.Index>? {
        text.range(of: "\"\(name)\"").map { key in
            let rest = text[key.upperBound...]
            return key.lowerBound..<(rest.firstIndex { ",}\n".contains($0) } ?? rest.endIndex)
        }
    }
}
