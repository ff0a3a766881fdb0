/// What falling back would give at every threshold: the hybrid's outputs, with those that it was
/// least sure of replaced by the LLM's. Made of two runs, without running again.
package struct FallbackCurve: Sendable, Encodable {
    package struct Point: Sendable, Encodable {
        /// The share of documents that the LLM writes.
        package let share: Double
        /// Documents whose confidence is below this fall back.
        package let threshold: Double
        package let score: Double
    }

    /// What it goes by, such as the mean log probability.
    package let measure: String
    package let points: [Point]
    /// Points over the score of as many documents chosen at random, on average over all shares: 0
    /// says that the measure separates nothing.
    package let gain: Double

    package init(
        measure: String, confidences: [Double], hybrid: Scores, llm: Scores, kind: Scores.Kind
    ) {
        self.measure = measure
        let order = confidences.indices.sorted { confidences[$0] < confidences[$1] }
        let steps = 20
        points = (0...steps).map { step in
            let count = order.count * step / steps
            let mixed = hybrid.replacing(Set(order.prefix(count)), by: llm)
            return Point(
                share: Double(step) / Double(steps),
                threshold: count < order.count ? confidences[order[count]] : 1,
                score: mixed.score(kind, of: mixed.documents))
        }
        let (first, last) = (points[0].score, points[steps].score)
        let excess = points.map { $0.score - first - (last - first) * $0.share }
        gain = excess.reduce(0, +) / Double(excess.count)
    }
}
