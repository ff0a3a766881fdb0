/// T5 v1.0 and v1.1, mT5, umT5 and what is built like them (FLAN-T5, MADLAD-400).
///
/// The vocabulary's rows, gating, and whether the output head is the model's own are read from the
/// weights, because published configurations contradict their weights there.
package struct T5Configuration: Sendable, Equatable {
    /// t5, mt5 or umt5.
    package let modelType: String
    /// d_model.
    package let modelWidth: Int
    /// d_kv; heads · headWidth need not be modelWidth.
    package let headWidth: Int
    /// d_ff.
    package let feedForwardWidth: Int
    package let encoderLayers: Int
    package let decoderLayers: Int
    package let heads: Int
    package let relativeBuckets: Int
    package let relativeMaximumDistance: Int
    package let epsilon: Float
    package let padID: Int32
    /// Not empty.
    package let endIDs: [Int32]
    package let startID: Int32
    /// Whether logits are multiplied by modelWidth^-0.5. Holds for a tied head only: logits of a
    /// model's own head are never scaled.
    package let scalesLogits: Bool
    package let tiesEmbeddings: Bool

    /// The first of the end ids.
    package var endID: Int32 { endIDs[0] }
    /// heads · headWidth: the width of queries, keys and values.
    package var innerWidth: Int { heads * headWidth }
    /// umT5 has a table of relative biases in every block, the others in the first alone.
    package var hasBiasPerBlock: Bool { modelType == "umt5" }

    static let modelTypes = ["t5", "mt5", "umt5"]
    /// In every published T5, ungated layers use relu and gated ones gelu. Others would run with
    /// wrong results.
    static let activations = ["relu", "gated-gelu", "gated-gelu_new"]

    init(fields: JSONFields) throws {
        modelType = try fields.text("model_type", oneOf: Self.modelTypes)
        modelWidth = try fields.whole("d_model", in: SizeLimit.width)
        headWidth = try fields.whole("d_kv", in: SizeLimit.width)
        feedForwardWidth = try fields.whole("d_ff", in: SizeLimit.width)
        encoderLayers = try fields.whole("num_layers", in: SizeLimit.layers)
        decoderLayers = try fields.whole(
            "num_decoder_layers", in: SizeLimit.layers, default: encoderLayers)
        heads = try fields.whole("num_heads", in: SizeLimit.heads)
        // An encoder has half of the buckets for each direction. Of these, half are for exact
        // distances.
        relativeBuckets = try fields.whole(
            "relative_attention_num_buckets", in: 4...4_096, default: 32)
        relativeMaximumDistance = try fields.whole(
            "relative_attention_max_distance", in: SizeLimit.positions, default: 128)
        guard relativeBuckets % 4 == 0, relativeMaximumDistance > relativeBuckets / 2 else {
            throw fields.refuse(
                "relative_attention_num_buckets",
                "a multiple of 4 and less than twice relative_attention_max_distance",
                "\(relativeBuckets) with a distance of \(relativeMaximumDistance)")
        }
        epsilon = try fields.number("layer_norm_epsilon", in: SizeLimit.epsilon, default: 1e-6)
        padID = try fields.id("pad_token_id", default: 0)
        endIDs = try fields.ids("eos_token_id", default: 1)
        startID = try fields.id("decoder_start_token_id", default: padID)
        tiesEmbeddings = try fields.flag("tie_word_embeddings") ?? true
        scalesLogits =
            try fields.flag("scale_decoder_outputs") ?? (modelType == "t5" && tiesEmbeddings)
        _ = try fields.text("feed_forward_proj", oneOf: Self.activations, default: "relu")
    }
}
