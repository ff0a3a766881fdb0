/// How one response is chosen from the model's logits.
package struct DecodingOptions: Sendable, Equatable {
    /// The longest response, its end token included.
    package var maximumNewTokens: Int
    /// The end token is not chosen before the response has this many tokens.
    package var minimumNewTokens: Int
    /// The beams of a beam search; 1 for greedy choices and for sampling.
    package var beams: Int
    /// A beam's score is its sum of log probabilities / length ^ lengthPenalty.
    package var lengthPenalty: Float
    /// When a beam search ends after it has `beams` finished beams.
    package var earlyStopping: EarlyStopping
    /// No run of this many tokens is written twice; 0 for no such rule.
    package var noRepeatNgram: Int
    /// Draws tokens instead of taking the most likely one; for one beam only.
    package var sampling: Sampling?
    /// Whether the response says how likely its tokens were; for greedy choices only.
    package var measuresConfidence: Bool
    /// Tokens that the decoder is given before it writes: after the start token of an
    /// encoder-decoder, or after the document. They are no part of the response.
    package var decoderPrompt: [Int32]

    package init(
        maximumNewTokens: Int, minimumNewTokens: Int = 0, beams: Int = 1, lengthPenalty: Float = 1,
        earlyStopping: EarlyStopping = .no, noRepeatNgram: Int = 0, sampling: Sampling? = nil,
        measuresConfidence: Bool = false, decoderPrompt: [Int32] = []
    ) {
        precondition(beams == 1 || sampling == nil, "\(beams) beams cannot be sampled")
        precondition(
            !measuresConfidence || beams == 1 && sampling == nil,
            "confidence is measured for greedy choices only")
        self.maximumNewTokens = maximumNewTokens
        self.minimumNewTokens = minimumNewTokens
        self.beams = beams
        self.lengthPenalty = lengthPenalty
        self.earlyStopping = earlyStopping
        self.noRepeatNgram = noRepeatNgram
        self.sampling = sampling
        self.measuresConfidence = measuresConfidence
        self.decoderPrompt = decoderPrompt
    }
}

extension DecodingOptions {
    /// When a beam search ends after it has enough finished beams. The names are the values of
    /// `early_stopping` in transformers.
    package enum EarlyStopping: Sendable {
        /// It ends when the best running beam, scored at its present length, is not better than the
        /// worst finished beam.
        case no
        /// It ends at once.
        case yes
        /// It ends when the best running beam would not be better than the worst finished beam at
        /// any length.
        case never
    }
}

/// What was written for one prompt.
package struct Response: Sendable, Equatable {
    /// The response, with the end token where one was written.
    package let tokens: [Int32]
    /// The score of beam search; nil for greedy choices and sampling.
    package let score: Float?
    /// Nil unless `DecodingOptions.measuresConfidence` asked for it.
    package var confidence: Confidence?
    /// Tokens that a small model proposed.
    package var drafted = 0
    /// Proposed tokens that the large model took.
    package var accepted = 0
}

/// How likely the model found the tokens that it chose, before any rule of `DecodingOptions`.
package struct Confidence: Sendable, Equatable {
    /// Log probabilities, at most 0.
    private var sum: Float = 0
    private var lowest: Float = 0
    private var tokens = 0

    package init() {}

    package mutating func add(_ logProbability: Float) {
        sum += logProbability
        lowest = min(lowest, logProbability)
        tokens += 1
    }

    package mutating func add(_ other: Confidence) {
        sum += other.sum
        lowest = min(lowest, other.lowest)
        tokens += other.tokens
    }

    /// The geometric mean of the tokens' probabilities; 1 without tokens.
    package var mean: Double { Double(exponential(tokens == 0 ? 0 : sum / Float(tokens))) }
    /// The probability of the least likely token; 1 without tokens.
    package var least: Double { Double(exponential(lowest)) }
}
