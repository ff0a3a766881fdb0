/// The families of models that are read from GGUF files.
enum GGUFArchitecture: String, CaseIterable {
    case llama, qwen2, qwen3, gemma, gemma2, gemma3, t5

    /// Gemma's norms multiply by 1 + weight: GGUF files hold the sum, Hugging Face's the weight.
    var normOffset: Float {
        switch self {
        case .gemma, .gemma2, .gemma3: -1
        case .llama, .qwen2, .qwen3, .t5: 0
        }
    }

    /// Gemma 2 and 3 have a norm after attention and one after the feed-forward part as well.
    var hasNormsAfter: Bool { self == .gemma2 || self == .gemma3 }
}

/// What Hugging Face calls the tensors of a GGUF file.
/// Source: https://github.com/ggml-org/llama.cpp, gguf-py/gguf/tensor_mapping.py
extension GGUFArchitecture {
    /// Nil for a tensor that Hugging Face's models do not have.
    ///
    /// - Parameter isGated: whether the feed-forward part of a T5 has a gate.
    func name(ofGGUF name: String, isGated: Bool) -> String? {
        guard let dot = name.lastIndex(of: ".") else { return nil }
        let (stem, ending) = (name[..<dot], name[dot...])
        guard ending == ".weight" || ending == ".bias" else { return nil }
        return (self == .t5 ? t5Stem(stem, isGated: isGated) : decoderStem(stem)).map {
            $0 + ending
        }
    }

    private func decoderStem(_ stem: Substring) -> String? {
        switch stem {
        case "token_embd": return "model.embed_tokens"
        case "output_norm": return "model.norm"
        case "output": return "lm_head"
        default: break
        }
        let parts = stem.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "blk", let layer = Int(parts[1]) else { return nil }
        let known: String? =
            switch parts[2] {
            case "attn_norm": "input_layernorm"
            case "attn_q": "self_attn.q_proj"
            case "attn_k": "self_attn.k_proj"
            case "attn_v": "self_attn.v_proj"
            case "attn_output": "self_attn.o_proj"
            case "attn_q_norm": "self_attn.q_norm"
            case "attn_k_norm": "self_attn.k_norm"
            case "ffn_gate": "mlp.gate_proj"
            case "ffn_up": "mlp.up_proj"
            case "ffn_down": "mlp.down_proj"
            case "ffn_norm":
                hasNormsAfter ? "pre_feedforward_layernorm" : "post_attention_layernorm"
            case "post_attention_norm": hasNormsAfter ? "post_attention_layernorm" : nil
            case "post_ffw_norm": hasNormsAfter ? "post_feedforward_layernorm" : nil
            default: nil
            }
        return known.map { "model.layers.\(layer).\($0)" }
    }

    private func t5Stem(_ stem: Substring, isGated: Bool) -> String? {
        switch stem {
        case "token_embd": return "shared"
        case "output": return "lm_head"
        case "enc.output_norm": return "encoder.final_layer_norm"
        case "dec.output_norm": return "decoder.final_layer_norm"
        default: break
        }
        let parts = stem.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[1] == "blk", let layer = Int(parts[2]),
            parts[0] == "enc" || parts[0] == "dec"
        else { return nil }
        let feedForward = parts[0] == "enc" ? 1 : 2
        let known: String? =
            switch parts[3] {
            case "attn_norm": "0.layer_norm"
            case "attn_q": "0.SelfAttention.q"
            case "attn_k": "0.SelfAttention.k"
            case "attn_v": "0.SelfAttention.v"
            case "attn_o": "0.SelfAttention.o"
            case "attn_rel_b": "0.SelfAttention.relative_attention_bias"
            case "cross_attn_norm": "1.layer_norm"
            case "cross_attn_q": "1.EncDecAttention.q"
            case "cross_attn_k": "1.EncDecAttention.k"
            case "cross_attn_v": "1.EncDecAttention.v"
            case "cross_attn_o": "1.EncDecAttention.o"
            case "cross_attn_rel_b": "1.EncDecAttention.relative_attention_bias"
            case "ffn_norm": "\(feedForward).layer_norm"
            case "ffn_gate": "\(feedForward).DenseReluDense.wi_0"
            case "ffn_down": "\(feedForward).DenseReluDense.wo"
            case "ffn_up": "\(feedForward).DenseReluDense.\(isGated ? "wi_1" : "wi")"
            default: nil
            }
        return known.map { "\(parts[0])oder.block.\(layer).layer.\($0)" }
    }
}
