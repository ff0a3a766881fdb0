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
    /// No run of so many tokens is written twice; 0 for no such rule.
    package var noRepeatNgram: Int
    /// Draws tokens instead of taking the most likely one; for one beam only.
    package var sampling: Sampling?

    package init(
        maximumNewTokens: Int, minimumNewTokens: Int = 0, beams: Int = 1, lengthPenalty: Float = 1,
        noRepeatNgram: Int = 0, sampling: Sampling? = nil
    ) {
        precondition(beams == 1 || sampling == nil, "\(beams) beams cannot be sampled")
        self.maximumNewTokens = maximumNewTokens
        self.minimumNewTokens = minimumNewTokens
        self.beams = beams
        self.lengthPenalty = lengthPenalty
        self.noRepeatNgram = noRepeatNgram
        self.sampling = sampling
    }
}

/// What was written for one prompt.
package struct Response: Sendable, Equatable {
    /// With the end token where one was written.
    package let tokens: [Int32]
    /// Of beam search; nil for greedy and sampling.
    package let score: Float?
}
