/// Draws from what is left of the distribution after temperature, top-k and top-p, in this order,
/// each as transformers 5 defines it.
package struct Sampling: Sendable, Equatable {
    /// Logits are divided by it; it is greater than 0.
    package var temperature: Float
    /// Keeps the tokens that are at least as likely as the k-th most likely one; 0 keeps all.
    package var topK: Int
    /// Keeps the most likely tokens that together reach this probability; 1 keeps all.
    package var topP: Float
    /// The same seed gives the same draws.
    package var seed: UInt64

    package init(temperature: Float = 1, topK: Int = 0, topP: Float = 1, seed: UInt64) {
        precondition(temperature > 0, "temperature \(temperature)")
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.seed = seed
    }

    /// A column of the logits and its probability. The probabilities of a distribution sum to 1.
    struct Choice: Equatable {
        let column: Int
        let probability: Double
    }

    /// The columns that may be drawn. Empty where all logits are −∞.
    ///
    /// - Parameter logits: [1, columns]
    func distribution(_ logits: Rows) -> [Choice] {
        let row = logits[0]
        let top = row[Operators.argmax(row, count: logits.width)]
        guard top > -.infinity else { return [] }
        let floor = topK > 0 ? kthLargest(logits) : -.infinity
        var choices: [Choice] = []
        for column in 0..<logits.width where row[column] >= floor && row[column] > -.infinity {
            // Relative to the largest, so that no temperature can overflow.
            let weight = exponential((row[column] - top) / temperature)
            if weight > 0 { choices.append(Choice(column: column, probability: Double(weight))) }
        }
        if topP < 1 { choices = mostLikely(of: choices) }
        let sum = choices.reduce(0) { $0 + $1.probability }
        return choices.map { Choice(column: $0.column, probability: $0.probability / sum) }
    }

    /// The fewest choices whose weights together reach `topP` of the sum. The largest weight is 1.
    private func mostLikely(of choices: [Choice]) -> [Choice] {
        let limit = Double(topP) * choices.reduce(0) { $0 + $1.probability }
        // A few tokens of the vocabulary have nearly all of the weight: only these are sorted.
        var least = 1e-3
        var likely = choices.filter { $0.probability >= least }
        while likely.count < choices.count, likely.reduce(0, { $0 + $1.probability }) < limit {
            least /= 32
            likely = choices.filter { $0.probability >= least }
        }
        likely.sort { ($0.probability, $1.column) > ($1.probability, $0.column) }
        var sum = 0.0
        return Array(
            likely.prefix { choice in
                defer { sum += choice.probability }
                return sum < limit
            })
    }

    private func kthLargest(_ logits: Rows) -> Float {
        // A small k keeps a sorted list of the largest values; a large k sorts all values.
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
