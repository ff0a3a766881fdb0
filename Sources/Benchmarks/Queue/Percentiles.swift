/// Percentiles of measured times.
package struct Percentiles: Sendable, Encodable {
    package let count: Int
    package let p50: Double
    package let p99: Double
    package let maximum: Double

    package init(_ values: [Double]) {
        let sorted = values.sorted()
        // The nearest rank.
        func rank(_ share: Double) -> Double {
            guard let last = sorted.indices.last else { return .nan }
            return sorted[min(last, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
        }
        count = sorted.count
        p50 = rank(0.5)
        p99 = rank(0.99)
        maximum = sorted.last ?? .nan
    }
}

extension [Double] {
    var median: Double { Percentiles(self).p50 }
}
