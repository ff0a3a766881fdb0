/// Tells how certain a score is. Documents are drawn with replacement, as many as there are, many
/// times over (Efron 1979; for translation scores Koehn 2004).
package struct Bootstrap: Sendable {
    /// The documents of each draw, by index. Scores of several systems on the same draws can be
    /// subtracted: a paired test.
    package let draws: [[Int]]

    /// The same seed gives the same draws.
    package init(documents: Int, resamples: Int = 1_000, seed: UInt64 = 1) {
        var state = seed
        draws = (0..<resamples).map { _ in
            (0..<documents).map { _ in
                // Knuth's linear congruential generator; its high bits are good enough to draw by.
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int((state >> 33) % UInt64(max(documents, 1)))
            }
        }
    }

    /// The interval that holds the middle 95 % of the scores of all draws.
    package func interval(_ score: ([Int]) -> Double) -> ClosedRange<Double> {
        let scores = draws.map(score).sorted()
        precondition(!scores.isEmpty, "no draws")
        func quantile(_ share: Double) -> Double {
            scores[Int((Double(scores.count - 1) * share).rounded())]
        }
        return quantile(0.025)...quantile(0.975)
    }
}
