/// Draws from what is left of the distribution after temperature, top-k and top-p, in this order,
/// each as transformers 5 defines it.
package struct Sampling: Sendable, Equatable {
    /// Logits are divided by it; over 0.
    package var temperature: Float
    /// Only tokens as likely as the k-th most likely; 0 keeps all.
    package var topK: Int
    /// Only the most likely tokens that together reach this probability; 1 keeps all.
    package var topP: Float
    /// The same for the same draws.
    package var seed: UInt64

    package init(temperature: Float = 1, topK: Int = 0, topP: Float = 1, seed: UInt64) {
        precondition(temperature > 0, "temperature \(temperature)")
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.seed = seed
    }

    /// A token with its probability; those of a distribution sum to 1.
    struct Choice: Equatable {
        let column: Int
        let probability: Double
    }

    /// The columns that may be drawn, the most likely first. Empty where all logits are −∞.
    ///
    /// - Parameter logits: [1, columns]
    func distribution(_ logits: Rows) -> [Choice] {
        let row = logits[0]
        let top = row[Operators.argmax(row, count: logits.width)]
        guard top > -.infinity else { return [] }
        let floor = topK > 0 ? kthLargest(logits) : -.infinity
        var choices: [Choice] = []
        for column in 0..<logits.width where row[column] >= floor && row[column] > -.infinity {
            // Of the largest logit first, so that no temperature can overflow.
            let weight = exponential((row[column] - top) / temperature)
            if weight > 0 { choices.append(Choice(column: column, probability: Double(weight))) }
        }
        choices.sort { ($0.probability, $1.column) > ($1.probability, $0.column) }
        if topP < 1 {
            let limit = Double(topP) * choices.reduce(0) { $0 + $1.probability }
            var sum = 0.0
            let kept = choices.prefix { choice in
                defer { sum += choice.probability }
                return sum < limit
            }
            choices = Array(kept)
        }
        let sum = choices.reduce(0) { $0 + $1.probability }
        return choices.map { Choice(column: $0.column, probability: $0.probability / sum) }
    }

    private func kthLargest(_ logits: Rows) -> Float {
        // Of a few large ones the least is at hand; a large k is as well served by sorting.
        var largest: [Float] = []
        let row = logits[0]
        guard topK < logits.width else { return -.infinity }
        guard topK <= 256 else {
            return (0..<logits.width).map { row[$0] }.sorted(by: >)[topK - 1]
        }
        for column in 0..<logits.width {
            let value = row[column]
            if largest.count == topK, value <= largest[topK - 1] { continue }
            largest.insert(value, at: largest.firstIndex { $0 < value } ?? largest.count)
            if largest.count > topK { largest.removeLast() }
        }
        return largest[topK - 1]
    }
}

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
