/// The random numbers of one response. They depend on its seed alone, not on the batch, the replica
/// or the machine's other work.
package struct RandomStream: Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// Makes the seed of one response.
    ///
    /// - Parameters:
    ///   - seed: the user's.
    ///   - prompt: the tokens that the response answers.
    ///   - part: the number of the prompt in its document, so that equal prompts get different
    ///     seeds.
    package static func seed(_ seed: UInt64, prompt: [Int32], part: Int) -> UInt64 {
        var stream = RandomStream(seed: seed)
        for value in [UInt64(truncatingIfNeeded: part)]
            + prompt.map({ UInt64(UInt32(bitPattern: $0)) })
        {
            stream.state = stream.next() ^ value
        }
        return stream.next()
    }

    /// Steele, Lea and Flood's SplitMix64.
    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Draws a column; nil for an empty distribution.
    mutating func draw(_ choices: [Sampling.Choice]) -> Int? {
        var rest = Double(next() >> 11) * 0x1p-53
        for choice in choices {
            if rest < choice.probability { return choice.column }
            rest -= choice.probability
        }
        // By rounding, the sum of the probabilities may fall short of 1.
        return choices.last?.column
    }
}
