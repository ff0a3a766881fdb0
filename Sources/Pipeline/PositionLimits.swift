internal import Inference
internal import Jobs

/// Checks that models have positions for the prompts and outputs that a job type allows.
struct PositionLimits {
    struct Decoder {
        let model: any DecoderModel
        let path: String
        /// What the decoder is given before it writes.
        let opening: [Int32]
    }

    private let limits: JobType.Limits
    private let encoder: Encoder

    init(_ limits: JobType.Limits, encoder: Encoder) {
        self.limits = limits
        self.encoder = encoder
    }

    /// Returns how many tokens of `decoder_prompt` the decoder has room for.
    ///
    /// - Throws: `Refused`, or `InferenceError` for a prompt beyond the vocabulary.
    func check(_ decoder: Decoder) throws -> Int {
        let model = decoder.model
        let opening = decoder.opening
        if let token = opening.first(where: { $0 >= model.head.columns }) {
            throw InferenceError.tokenOutsideVocabulary(
                path: decoder.path, token: token, rows: model.head.columns)
        }
        try checkPrompt(most: encoder.maximumTokens, of: encoder.path)
        try checkPrompt(
            most: model.maximumSourceTokens.map { $0 - encoder.softPromptTokens }, of: decoder.path)
        let positions = model.maximumNewTokens ?? .max
        let most = min(positions, T5Decoder.maximumResponse)
        guard limits.newTokens + opening.count <= most else {
            throw Refused(
                "expected limits.new_tokens, with the \(opening.count) tokens of decoder_prompt, "
                    + "to be at most \(most)"
                    + (positions <= most ? ", the positions of \(decoder.path)" : "")
                    + ", got \(limits.newTokens + opening.count)")
        }
        try checkSum(decoder)
        let left = model.maximumPositions.map {
            $0 - encoder.softPromptTokens - limits.sourceTokens - limits.newTokens
        }
        return min(most - limits.newTokens, left ?? .max)
    }

    private func checkPrompt(most: Int?, of path: String) throws {
        guard let most, limits.sourceTokens > most else { return }
        throw Refused(
            "expected limits.source_tokens to be at most \(most), the positions of \(path)"
                + (encoder.softPromptTokens > 0 ? " without its soft prompt" : "")
                + ", got \(limits.sourceTokens)")
    }

    /// Checks prompt and output together for a decoder-only model, where they share the positions.
    private func checkSum(_ decoder: Decoder) throws {
        guard let all = decoder.model.maximumPositions else { return }
        let positions = all - encoder.softPromptTokens - decoder.opening.count
        guard limits.sourceTokens + limits.newTokens > positions else { return }
        var besides = encoder.softPromptTokens > 0 ? " without its soft prompt" : ""
        if !decoder.opening.isEmpty { besides += " without decoder_prompt" }
        throw Refused(
            "expected limits.source_tokens + limits.new_tokens to be at most \(positions), "
                + "the positions of \(decoder.path)\(besides), "
                + "got \(limits.sourceTokens) + \(limits.newTokens)")
    }
}
