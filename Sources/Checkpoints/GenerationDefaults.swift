/// The search settings of a checkpoint's makers. They hold where a job file sets none.
package struct GenerationDefaults: Sendable, Equatable {
    /// Nil where the file does not say.
    package var beams: Int?
    package var lengthPenalty: Float?
    package var earlyStopping: EarlyStopping?
    package var noRepeatNgram: Int?
    package var minimumNewTokens: Int?
    package var newTokens: Int?
    /// Names of the fields that ask for something which l2s does not apply, in order.
    package var unused: [String] = []

    /// When a beam search ends after it has as many finished beams as it follows.
    package enum EarlyStopping: String, Sendable {
        /// When the best running beam is worse at its present length than all finished beams.
        case no = "false"
        /// At once.
        case yes = "true"
        /// When the best running beam would be worse at any length than all finished beams.
        case never
    }

    package static let none = GenerationDefaults()

    private init() {}

    /// Reads generation_config.json; config.json where there is none, as transformers does.
    ///
    /// - Throws: `CheckpointError` for a value that is not what the field takes.
    init(_ generation: JSONFields?, configuration: JSONFields) throws {
        let fields = generation ?? configuration
        beams = try fields.hasWhole("num_beams", 1...64)
        noRepeatNgram = try fields.hasWhole("no_repeat_ngram_size", 0...64)
        if fields.has("length_penalty") {
            lengthPenalty = try fields.number("length_penalty", in: -10...10)
        }
        if fields.isText("early_stopping") {
            _ = try fields.text("early_stopping", oneOf: ["never"])
            earlyStopping = .never
        } else {
            earlyStopping = try fields.flag("early_stopping").map { $0 ? .yes : .no }
        }
        // `min_length` and `max_length` count the start token. The limits of new tokens take
        // precedence.
        minimumNewTokens =
            try fields.hasWhole("min_new_tokens", 0...4_096)
            ?? fields.hasWhole("min_length", 0...4_096).map { max(0, $0 - 1) }
        newTokens =
            try fields.hasWhole("max_new_tokens", 1...Self.longest)
            ?? fields.hasWhole("max_length", 1...Self.longest).map { max(1, $0 - 1) }
        if let generation {
            unused = generation.names.filter {
                !Self.used.contains($0) && generation.saysSomething($0)
            }
        }
    }

    /// No output is longer than this, so that a larger limit means the same.
    private static let longest = Int(Int32.max)

    private static let used: Set<String> = [
        "num_beams", "no_repeat_ngram_size", "length_penalty", "early_stopping", "min_new_tokens",
        "min_length", "max_new_tokens", "max_length", "forced_bos_token_id", "forced_eos_token_id",
        "bad_words_ids",
        "suppress_tokens", "begin_suppress_tokens", "renormalize_logits", "eos_token_id",
        "decoder_start_token_id",
        // These fields change no output.
        "bos_token_id", "pad_token_id", "transformers_version", "_from_model_config", "use_cache",
        "return_dict_in_generate", "output_scores", "output_logits", "output_attentions",
        "output_hidden_states",
    ]
}

extension JSONFields {
    /// Nil where the field is absent or null.
    fileprivate func hasWhole(_ name: String, _ range: ClosedRange<Int>) throws -> Int? {
        has(name) ? try whole(name, in: range) : nil
    }

    /// Whether a setting of the search differs from its default.
    fileprivate func saysSomething(_ name: String) -> Bool {
        switch values[name] ?? .null {
        case .null, .flag(false), .whole(0), .whole(1), .number(0), .number(1): false
        case .whole(50): name != "top_k"
        default: !isEmptyList(name)
        }
    }

    fileprivate func isText(_ name: String) -> Bool {
        if case .text? = values[name] { true } else { false }
    }
}
