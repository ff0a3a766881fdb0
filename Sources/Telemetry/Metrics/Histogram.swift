/// How often durations fell below each of some bounds.
struct Histogram: Sendable {
    /// In seconds: from tokenizing one document to decoding a long one on a slow machine.
    static let bounds = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
    ]

    /// For each bound, how many durations lie between it and the bound before; the last count is of
    /// those above all bounds.
    private var counts = Array(repeating: 0, count: bounds.count + 1)
    private var sum = 0.0

    mutating func observe(_ duration: Duration) {
        let seconds = duration / .seconds(1)
        counts[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
        sum += seconds
    }

    func samples(labels: [(name: String, value: String)]) -> [MetricFamily.Sample] {
        var total = 0
        let buckets = zip(Self.bounds.map { "\($0)" } + ["+Inf"], counts).map { bound, count in
            total += count
            return MetricFamily.Sample(
                suffix: "_bucket", labels: labels + [("le", bound)], value: Double(total))
        }
        return buckets + [
            MetricFamily.Sample(suffix: "_sum", labels: labels, value: sum),
            MetricFamily.Sample(suffix: "_count", labels: labels, value: Double(total)),
        ]
    }
}
