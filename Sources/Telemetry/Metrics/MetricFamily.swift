/// Samples of one name, as Prometheus collects them.
package struct MetricFamily: Sendable, Equatable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    package struct Sample: Sendable, Equatable {
        /// `_bucket`, `_sum`, `_count`, `_total` or nothing.
        let suffix: String
        let labels: [(name: String, value: String)]
        let value: Double

        package static func == (one: Self, other: Self) -> Bool {
            one.suffix == other.suffix && one.value == other.value
                && one.labels.elementsEqual(other.labels, by: ==)
        }
    }

    /// With `l2s_` in front and the unit at the end, without `_total`.
    let name: String
    let kind: Kind
    let help: String
    var samples: [Sample]

    /// A counter or gauge. Labels take few values that the deployment fixes: no ids, no texts.
    package init(
        _ kind: Kind, _ name: String, _ help: String,
        _ values: [(labels: [(name: String, value: String)], value: Double)]
    ) {
        self.name = name
        self.kind = kind
        self.help = help
        samples = values.map {
            Sample(suffix: kind == .counter ? "_total" : "", labels: $0.labels, value: $0.value)
        }
    }

    package init(_ kind: Kind, _ name: String, _ help: String, _ value: Double) {
        self.init(kind, name, help, [([], value)])
    }

    /// A family of histograms of durations, in seconds.
    init(
        _ name: String, _ help: String,
        _ histograms: [(labels: [(name: String, value: String)], histogram: Histogram)]
    ) {
        self.name = name
        kind = .histogram
        self.help = help
        samples = histograms.flatMap { $1.samples(labels: $0) }
    }
}

/// The page that Prometheus reads.
package enum Exposition: Sendable {
    /// <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>
    case openMetrics
    /// Prometheus's own older form, for clients that do not ask for OpenMetrics.
    case plain

    package var contentType: String {
        switch self {
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        case .plain: "text/plain; version=0.0.4; charset=utf-8"
        }
    }

    /// The text of an answer to `/metrics`.
    package func page(_ families: [MetricFamily]) -> String {
        let page = families.map(text).joined()
        return self == .openMetrics ? page + "# EOF\n" : page
    }

    private func text(_ family: MetricFamily) -> String {
        // The older form names a counter with its suffix.
        let isSuffixed = self == .plain && family.kind == .counter
        let name = isSuffixed ? family.name + "_total" : family.name
        var text = "# TYPE \(name) \(family.kind.rawValue)\n"
        for unit in ["seconds", "bytes"] where self == .openMetrics && name.hasSuffix("_\(unit)") {
            text += "# UNIT \(name) \(unit)\n"
        }
        text += "# HELP \(name) \(family.help)\n"
        for sample in family.samples {
            let labels = sample.labels.map { "\($0.name)=\"\($0.value.escaped)\"" }
            let braces = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
            text += "\(family.name)\(sample.suffix)\(braces) \(sample.value)\n"
        }
        return text
    }
}

extension String {
    /// Scalar by scalar: a line end or a quotation mark may be part of a larger character.
    fileprivate var escaped: String {
        unicodeScalars.reduce(into: "") { text, scalar in
            switch scalar {
            case "\\", "\"": text += "\\\(scalar)"
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
    }
}
