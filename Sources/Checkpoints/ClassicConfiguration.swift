/// The classic transformer (arXiv 1706.03762): an encoder and a decoder with biases everywhere,
/// LayerNorm, and positions that are added to the token vectors. The families differ only in the
/// values of this type, so one implementation runs them all.
package struct ClassicConfiguration: Sendable, Equatable {
    /// The raw value is the `model_type` of config.json. NLLB calls itself m2m_100.
    package enum Family: String, Sendable, CaseIterable {
        case marian, bart, mbart, pegasus, blenderbot
        case m2m100 = "m2m_100"
    }

    /// What is added to the token vectors for their place in the text.
    package enum Positions: Sendable, Equatable {
        /// A table in the file; place p is in row p + offset.
        case learned(offset: Int)
        /// The angle of place p in channel i of a half is (p + first) · 10000^(−i / divisor). The
        /// first half of the channels holds its sines, the second its cosines.
        case sinusoidal(first: Int, divisor: Int)
    }

    package enum Activation: Sendable, Equatable {
        case relu, silu
        /// Computed with the error function.
        case gelu
        /// Approximated with the hyperbolic tangent.
        case tanhGelu
    }

    /// One of the two halves of the model.
    package struct Stack: Sendable, Equatable {
        package let layers: Int
        /// A divisor of the width.
        package let heads: Int
        package let feedForwardWidth: Int
    }

    package let family: Family
    /// d_model.
    package let width: Int
    package let encoder: Stack
    package let decoder: Stack
    package let activation: Activation
    package let positions: Positions
    /// The most tokens of a prompt, and of an output.
    package let maximumPositions: Int
    /// Token vectors are multiplied by it before positions are added.
    package let embeddingScale: Float
    /// Whether the file says that the head is the token embedding.
    package let tiesEmbeddings: Bool
    /// The first input of the decoder.
    package let startID: Int32
    /// Any of these ends an output. Not empty.
    package let endIDs: [Int32]

    /// True where norms stand before the attention and feed-forward parts, with one more norm at
    /// the end of each half. Otherwise a norm follows each part.
    package var normsComeFirst: Bool { family != .marian && family != .bart }
    /// Whether the sum of token vectors and positions is normalized.
    package var normalizesEmbeddings: Bool { family == .bart || family == .mbart }
    /// PyTorch's default, which none of the families changes.
    package var epsilon: Float { 1e-5 }

    /// - Parameter generation: the fields of generation_config.json, which take precedence.
    init(fields: JSONFields, family: Family, generation: JSONFields? = nil) throws {
        self.family = family
        width = try fields.whole("d_model", in: SizeLimit.width)
        guard width % 2 == 0, width >= 4 else {
            throw fields.refuse("d_model", "an even number from 4", "\(width)")
        }
        encoder = try Self.stack("encoder", fields, width: width)
        decoder = try Self.stack("decoder", fields, width: width)
        activation = try Self.activation(fields, family)
        maximumPositions = try fields.whole("max_position_embeddings", in: SizeLimit.positions)
        positions =
            switch family {
            case .bart, .mbart: .learned(offset: 2)
            case .blenderbot: .learned(offset: 0)
            case .marian, .pegasus: .sinusoidal(first: 0, divisor: width / 2)
            case .m2m100: .sinusoidal(first: 2, divisor: width / 2 - 1)
            }
        embeddingScale =
            try fields.flag("scale_embedding") ?? false ? Float(width).squareRoot() : 1
        tiesEmbeddings = try fields.flag("tie_word_embeddings") ?? true
        endIDs = try (generation?.has("eos_token_id") ?? false ? generation ?? fields : fields)
            .ids("eos_token_id", default: family == .marian ? 0 : family == .pegasus ? 1 : 2)
        let starts = generation?.has("decoder_start_token_id") ?? false ? generation : nil
        startID = try (starts ?? fields).id(
            "decoder_start_token_id", default: try fields.id("pad_token_id", default: endIDs[0]))
    }

    private static func stack(
        _ side: String, _ fields: JSONFields, width: Int
    ) throws -> Stack {
        let heads = try fields.whole("\(side)_attention_heads", in: SizeLimit.heads)
        guard width % heads == 0 else {
            throw fields.refuse(
                "\(side)_attention_heads", "a divisor of d_model (\(width))", "\(heads)")
        }
        return Stack(
            layers: try fields.whole(
                "\(side)_layers", in: 1...SizeLimit.layers.upperBound), heads: heads,
            feedForwardWidth: try fields.whole(
                "\(side)_ffn_dim", in: 1...4 * SizeLimit.width.upperBound))
    }

    private static func activation(_ fields: JSONFields, _ family: Family) throws -> Activation {
        let usual = family == .m2m100 || family == .pegasus ? "relu" : "gelu"
        let name = try fields.text(
            "activation_function",
            oneOf: ["relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "swish", "silu"],
            default: usual)
        return switch name {
        case "relu": .relu
        case "gelu": .gelu
        case "gelu_new", "gelu_pytorch_tanh": .tanhGelu
        default: .silu
        }
    }
}
