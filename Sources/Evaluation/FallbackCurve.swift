/// What falling back to the LLM would give at every threshold. It is computed from two runs: of the
/// hybrid's outputs, those that it was least sure of are replaced by the LLM's.
package struct FallbackCurve: Sendable, Encodable {
    package struct Point: Sendable, Encodable {
        /// The share of documents that the LLM writes.
        package let share: Double
        /// Documents whose confidence is below this fall back.
        package let threshold: Double
        package let score: Double
    }

    /// The measure of confidence, such as the mean log probability.
    package let measure: String
    package let points: [Point]
    /// How far the scores lie above those with as many documents chosen at random, on average over
    /// all shares. At 0, the measure separates nothing.
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
