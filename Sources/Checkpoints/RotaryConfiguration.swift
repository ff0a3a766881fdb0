/// A decoder-only model with rotary positions. The families differ only in the values of this type,
/// so one implementation runs them all.
///
/// Every layer is x += attention(norm(x)), x += down(act(gate(x̂)) · up(x̂)) with x̂ = norm(x).
package struct RotaryConfiguration: Sendable, Equatable {
    /// The raw value is the `model_type` of config.json.
    package enum Family: String, Sendable, CaseIterable {
        case llama, mistral, qwen2, qwen3, gemma2
        case gemma3 = "gemma3_text"

        var isGemma: Bool { self == .gemma2 || self == .gemma3 }
    }

    package enum Activation: Sendable, Equatable {
        case silu
        /// Approximated with the hyperbolic tangent.
        case gelu
    }

    package struct Layer: Sendable, Equatable {
        /// A token attends to itself and to the window − 1 tokens before it; nil for a layer that
        /// attends to all tokens before it.
        package let window: Int?
        package let rotation: Rotation

        package init(window: Int?, rotation: Rotation) {
            self.window = window
            self.rotation = rotation
        }
    }

    package let family: Family
    /// hidden_size.
    package let width: Int
    /// intermediate_size.
    package let feedForwardWidth: Int
    /// In their order; not empty.
    package internal(set) var layers: [Layer]
    /// The heads of queries, a multiple of `keyValueHeads`. Neighbouring ones share a head of keys
    /// and values.
    package let heads: Int
    package let keyValueHeads: Int
    /// Even; heads · headWidth need not be the width.
    package let headWidth: Int
    /// The most tokens of a prompt and its response together.
    package let positions: Int
    package let epsilon: Float
    package let activation: Activation
    /// Scores of attention are multiplied by it.
    package let attentionScale: Float
    /// Scores of attention become cap · tanh(score / cap).
    package let attentionCap: Float?
    /// Logits become cap · tanh(logit / cap); nil where they stay as they are.
    package let logitCap: Float?
    /// Token vectors are multiplied by it before the first layer, but not in a tied head.
    package let embeddingScale: Float
    /// Whether norms multiply by 1 + weight.
    package let normsAddOne: Bool
    /// Whether the outputs of attention and of the feed-forward part pass a norm before they are
    /// added.
    package let hasOutputNorms: Bool
    /// Whether the queries and keys of each head pass a norm before they are rotated.
    package let hasHeadNorms: Bool
    package let hasQueryKeyValueBias: Bool
    package let hasOutputBias: Bool
    package let hasFeedForwardBias: Bool
    /// Whether the head is the embedding, whatever else the file holds.
    package let tiesEmbeddings: Bool
    /// The token that begins a sequence; nil for a model without one.
    package let beginID: Int32?
    /// Any of these ends a response. Not empty.
    package let endIDs: [Int32]

    /// Query heads that share one head of keys and values.
    package var group: Int { heads / keyValueHeads }
    /// The width of all queries together.
    package var queryWidth: Int { heads * headWidth }
    /// The width of all keys together, which is that of all values.
    package var keyValueWidth: Int { keyValueHeads * headWidth }

    /// - Parameter generation: the fields of generation_config.json, whose end tokens take
    ///   precedence.
    init(fields: JSONFields, family: Family, generation: JSONFields? = nil) throws {
        self.family = family
        width = try fields.whole("hidden_size", in: SizeLimit.width)
        feedForwardWidth = try fields.whole("intermediate_size", in: SizeLimit.width)
        heads = try fields.whole("num_attention_heads", in: SizeLimit.heads)
        // Files of the first two Llamas do not have this field.
        keyValueHeads = try fields.whole(
            "num_key_value_heads", in: SizeLimit.heads, default: family == .llama ? heads : nil)
        guard heads % keyValueHeads == 0 else {
            throw fields.refuse(
                "num_key_value_heads", "a divisor of num_attention_heads (\(heads))",
                "\(keyValueHeads)")
        }
        headWidth = try Self.headWidth(fields, family, width: width, heads: heads)
        positions = try fields.whole("max_position_embeddings", in: SizeLimit.positions)
        epsilon = try fields.number("rms_norm_eps", in: SizeLimit.epsilon, default: 1e-6)
        activation = try Self.activation(fields, family)
        layers = try Self.layers(fields, family, positions: positions)

        normsAddOne = family.isGemma
        hasOutputNorms = family.isGemma
        hasHeadNorms = family == .qwen3 || family == .gemma3
        let attentionBias = try fields.flag("attention_bias") ?? false
        hasQueryKeyValueBias = family == .qwen2 || family != .mistral && attentionBias
        hasOutputBias = family != .qwen2 && family != .mistral && attentionBias
        hasFeedForwardBias = try family == .llama && fields.flag("mlp_bias") ?? false

        let scalar = family.isGemma ? "query_pre_attn_scalar" : nil
        attentionScale =
            1
            / (try scalar.map { try fields.number($0, in: 1e-3...1e6, default: 256) }
            ?? Float(headWidth)).squareRoot()
        // Gemma 3 has the field, too, but its attention ignores it.
        attentionCap =
            family == .gemma2 ? try Self.cap("attn_logit_softcapping", fields, default: 50) : nil
        logitCap =
            family.isGemma
            ? try Self.cap("final_logit_softcapping", fields, default: family == .gemma2 ? 30 : nil)
            : nil
        embeddingScale = family.isGemma ? Float(width).squareRoot() : 1
        tiesEmbeddings = try fields.flag("tie_word_embeddings") ?? family.isGemma
        beginID = fields.has("bos_token_id") ? try fields.id("bos_token_id", default: 0) : nil
        endIDs = try fields.endIDs(generation, default: family.isGemma ? 1 : 2)
        // This variant of the architecture would run here with wrong results, so it is refused.
        guard try !(fields.flag("use_bidirectional_attention") ?? false) else {
            throw fields.refuse("use_bidirectional_attention", "false", "true")
        }
    }

    private static func headWidth(
        _ fields: JSONFields, _ family: Family, width: Int, heads: Int
    ) throws -> Int {
        let usual: Int? =
            switch family {
            case .qwen3: 128
            case .gemma2, .gemma3: 256
            case .llama, .mistral, .qwen2: width % heads == 0 ? width / heads : nil
            }
        let headWidth = try fields.whole("head_dim", in: 2...65_536, default: usual)
        guard headWidth % 2 == 0 else {
            throw fields.refuse("head_dim", "an even number", "\(headWidth)")
        }
        return headWidth
    }

    private static func activation(_ fields: JSONFields, _ family: Family) throws -> Activation {
        if family.isGemma {
            _ = try fields.text(
                "hidden_activation", oneOf: ["gelu_pytorch_tanh"], default: "gelu_pytorch_tanh")
            return .gelu
        }
        _ = try fields.text("hidden_act", oneOf: ["silu"], default: "silu")
        return .silu
    }

    /// Nil where the field is null, or where it is absent and the family usually has no cap.
    private static func cap(
        _ name: String, _ fields: JSONFields, default usual: Float?
    ) throws -> Float? {
        guard fields.has(name) else { return fields.holds(name) ? nil : usual }
        return try fields.number(name, in: 1e-3...1e6)
    }
}
