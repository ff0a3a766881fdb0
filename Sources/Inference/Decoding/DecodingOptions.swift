/// How one response is chosen from the model's logits.
package struct DecodingOptions: Sendable, Equatable {
    /// The end token counts.
    package var maximumNewTokens: Int
    /// The end token is not chosen before so many tokens.
    package var minimumNewTokens: Int
    /// 1 is greedy, or sampling.
    package var beams: Int
    /// A beam's score is its sum of log probabilities / length ^ lengthPenalty.
    package var lengthPenalty: Float
    /// When a beam search ends, once it has as many finished beams as it follows.
    package var earlyStopping: EarlyStopping
    /// No run of so many tokens is written twice; 0 for no such rule.
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
            !measuresConfidence || beams == 1 && sampling == nil, "confidence is of greedy choices")
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
    package enum EarlyStopping: Sendable {
        /// When the best running beam is worse than all of them at its present length.
        case no
        /// At once.
        case yes
        /// When the best running beam would be worse than all of them at any length.
        case never
    }
}

/// What was written for one prompt.
package struct Response: Sendable, Equatable {
    /// With the end token where one was written.
    package let tokens: [Int32]
    /// The score of beam search; nil for greedy choices and sampling.
    package let score: Float?
    /// Nil unless it was asked for.
    package var confidence: Confidence?
    /// Tokens that a small model proposed, and those of them that the large one took.
    package var drafted = 0
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

    /// The geometric mean of the tokens' probabilities; 1 of none.
    package var mean: Double { Double(exponential(tokens == 0 ? 0 : sum / Float(tokens))) }
    /// The probability of the least likely one.
    package var least: Double { Double(exponential(lowest)) }
}
