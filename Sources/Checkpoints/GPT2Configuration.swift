/// GPT-2 and models distilled from it.
package struct GPT2Configuration: Sendable, Equatable {
    /// n_embd; a multiple of `heads`.
    package let width: Int
    package let layers: Int
    package let heads: Int
    package let feedForwardWidth: Int
    /// The most tokens of a prompt and its response together.
    package let positions: Int
    package let epsilon: Float
    package let beginID: Int32
    /// Not empty.
    package let endIDs: [Int32]

    /// The first of the end ids.
    package var endID: Int32 { endIDs[0] }
    package var headWidth: Int { width / heads }

    init(fields: JSONFields) throws {
        width = try fields.whole("n_embd", in: SizeLimit.width)
        layers = try fields.whole("n_layer", in: 1...SizeLimit.layers.upperBound)
        heads = try fields.whole("n_head", in: SizeLimit.heads)
        guard width % heads == 0 else {
            throw fields.refuse("n_embd", "a multiple of n_head (\(heads))", "\(width)")
        }
        feedForwardWidth = try fields.whole(
            "n_inner", in: 1...4 * SizeLimit.width.upperBound, default: 4 * width)
        // Old files call it n_ctx.
        positions = try fields.whole(
            fields.has("n_positions") ? "n_positions" : "n_ctx", in: SizeLimit.positions,
            default: 1_024)
        epsilon = try fields.number("layer_norm_epsilon", in: SizeLimit.epsilon, default: 1e-5)
        beginID = try fields.id("bos_token_id", default: 50_256)
        endIDs = try fields.ids("eos_token_id", default: 50_256)
        // These variants of the architecture would run here with wrong results, so they are
        // refused.
        _ = try fields.text(
            "activation_function", oneOf: ["gelu_new", "gelu_pytorch_tanh"], default: "gelu_new")
        guard try fields.flag("scale_attn_weights") ?? true else {
            throw fields.refuse("scale_attn_weights", "true", "false")
        }
        guard try !(fields.flag("scale_attn_by_inverse_layer_idx") ?? false) else {
            throw fields.refuse("scale_attn_by_inverse_layer_idx", "false", "true")
        }
    }
}
