/// The random numbers of one response: of its seed and nothing else, so that what is drawn does
/// not depend on the batch, the replica or the machine's other work.
package struct RandomStream: Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// A seed of one response's own.
    ///
    /// - Parameters:
    ///   - seed: the user's.
    ///   - prompt: what the response answers.
    ///   - part: tells equal prompts of one document apart.
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

    /// Nil for an empty distribution.
    mutating func draw(_ choices: [Sampling.Choice]) -> Int? {
        var rest = Double(next() >> 11) * 0x1p-53
        for choice in choices {
            if rest < choice.probability { return choice.column }
            rest -= choice.probability
        }
        // Probabilities that fall short of 1 by rounding.
        return choices.last?.column
    }
}
