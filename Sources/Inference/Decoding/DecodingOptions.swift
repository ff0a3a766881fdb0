/// How one response is chosen from the model's logits.
package struct DecodingOptions: Sendable, Equatable {
    /// The end token counts.
    package var maximumNewTokens: Int
    /// The end token is not chosen before so many tokens.
    package var minimumNewTokens: Int
    /// 1 is greedy.
    package var beams: Int
    /// A beam's score is its sum of log probabilities / length ^ lengthPenalty.
    package var lengthPenalty: Float

    package init(
        maximumNewTokens: Int, minimumNewTokens: Int = 0, beams: Int = 1, lengthPenalty: Float = 1
    ) {
        self.maximumNewTokens = maximumNewTokens
        self.minimumNewTokens = minimumNewTokens
        self.beams = beams
        self.lengthPenalty = lengthPenalty
    }
}

/// What was written for one prompt.
package struct Response: Sendable, Equatable {
    /// With the end token where one was written.
    package let tokens: [Int32]
    /// Of beam search; nil for greedy.
    package let score: Float?
}
