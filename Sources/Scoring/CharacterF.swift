/// The counts of chrF (Popović 2015), of runs of one to six characters, which add up over a corpus.
/// They and the score are those of chrF2 in PyPI's sacreBLEU 2.6.0, for one reference.
package struct CharacterF: Sendable, Equatable {
    private static let orders = 6
    /// The weight of recall against precision.
    private static let weight = 4.0

    /// By order.
    private var hypothesis = [Int](repeating: 0, count: orders)
    private var reference = [Int](repeating: 0, count: orders)
    private var matches = [Int](repeating: 0, count: orders)

    /// The counts of an empty corpus.
    package init() {}

    /// The counts of one segment.
    package init(hypothesis: String, reference: String) {
        let (written, wanted) = (Self.elements(hypothesis), Self.elements(reference))
        for order in 1...Self.orders {
            // 21 bits hold every code point.
            let runs = NGrams(written, order: order, bits: 21)
            let wantedRuns = NGrams(wanted, order: order, bits: 21)
            self.hypothesis[order - 1] = wantedRuns.total > 0 ? runs.total : 0
            self.reference[order - 1] = wantedRuns.total
            matches[order - 1] = runs.matches(wantedRuns)
        }
    }

    package static func += (left: inout CharacterF, right: CharacterF) {
        for order in 0..<orders {
            left.hypothesis[order] += right.hypothesis[order]
            left.reference[order] += right.reference[order]
            left.matches[order] += right.matches[order]
        }
    }

    /// 0 to 100: F₂ of precision and recall, each the mean over the orders that both have.
    package var score: Double {
        let counted = (0..<Self.orders).filter { hypothesis[$0] > 0 && reference[$0] > 0 }
        func mean(_ totals: [Int]) -> Double {
            counted.reduce(0) { $0 + Double(matches[$1]) / Double(totals[$1]) }
                / Double(max(counted.count, 1))
        }
        let (precision, recall) = (mean(hypothesis), mean(reference))
        guard precision + recall > 0 else { return 0 }
        return 100 * (1 + Self.weight) * precision * recall / (Self.weight * precision + recall)
    }

    private static func elements(_ text: String) -> [UInt32] {
        text.unicodeScalars.lazy.filter { !$0.isPythonSpace }.map(\.value)
    }
}
