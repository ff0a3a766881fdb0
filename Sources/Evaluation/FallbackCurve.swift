/// What falling back would give at every threshold: the hybrid's outputs, with those that it was
/// least sure of replaced by the LLM's. Made of two runs, without running again.
package struct FallbackCurve: Sendable, Encodable {
    package struct Point: Sendable, Encodable {
        /// Of the documents, by the LLM.
        package let share: Double
        /// Below which they fall back.
        package let threshold: Double
        package let score: Double
    }

    /// What it goes by, such as the mean log probability.
    package let measure: String
    package let points: [Point]
    /// Score gained per document written by the LLM, over all shares, as a multiple of what as many
    /// documents chosen at random gain: 1 says that the measure separates nothing. Nil where
    /// nothing is to be gained.
    package let gain: Double?

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
        // The area between the curve and the hybrid's score, over that of the straight line.
        let area = points.reduce(0) { $0 + ($1.score - first) } / Double(steps + 1)
        gain = last == first ? nil : area / ((last - first) / 2)
    }
}
