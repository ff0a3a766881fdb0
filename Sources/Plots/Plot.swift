internal import Foundation

/// A plot of several series of measured points, as SVG. Axes start at zero or near the least value.
package struct Plot: Sendable {
    package struct Series: Sendable {
        package enum Style: Sendable {
            case points, line
            /// For values that are not measured.
            case dashes
        }

        let name: String
        let points: [(x: Double, y: Double)]
        let style: Style
        /// The confidence intervals of the heights: none, or one for each point.
        let intervals: [ClosedRange<Double>]

        package init(
            _ name: String, _ points: [(x: Double, y: Double)], style: Style = .line,
            intervals: [ClosedRange<Double>] = []
        ) {
            self.name = name
            self.points = points
            self.style = style
            self.intervals = intervals
        }
    }

    private let title: String
    private let horizontal: String
    private let vertical: String
    private let series: [Series]
    private let across: Axis
    private let up: Axis

    /// - Parameter startsAtZero: whether the vertical axis starts at zero. The horizontal one
    ///   always does.
    package init(
        title: String, horizontal: String, vertical: String, series: [Series],
        startsAtZero: Bool = true
    ) {
        self.title = title
        self.horizontal = horizontal
        self.vertical = vertical
        self.series = series
        let points = series.flatMap(\.points)
        let heights =
            points.map(\.y)
            + series.flatMap { $0.intervals.flatMap { [$0.lowerBound, $0.upperBound] } }
        across = Axis(from: 0, to: points.map(\.x).max() ?? 1)
        up = Axis(from: startsAtZero ? 0 : heights.min() ?? 0, to: heights.max() ?? 1)
    }

    private static let (left, top, bottom) = (70.0, 44.0, 54.0)
    /// Width and height of the area within the axes.
    private static let (breadth, depth) = (460.0, 322.0)
    private static let end = left + breadth
    private static let floor = top + depth
    /// With more points than this, marks would hide the line.
    private static let marked = 40
    /// Colours that colour-blind people can tell apart (Okabe and Ito).
    private static let colours = [
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933",
        "#882255", "#777777",
    ]

    /// The plots beside each other.
    package static func svg(_ plots: [Plot]) -> String {
        var width = 0.0
        let bodies = plots.map { plot in
            defer { width += plot.width }
            return "<g transform=\"translate(\(width.short) 0)\">\n\(plot.body)</g>\n"
        }.joined()
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width.short)" \
            height="\((floor + bottom).short)" font-family="sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>
            \(bodies)</svg>

            """
    }

    /// The width with room for the names at the right.
    private var width: Double {
        let longest = series.map(\.name.count).max() ?? 0
        return Self.end + (longest == 0 ? 24 : 28 + 7 * Double(longest))
    }

    private func place(_ point: (x: Double, y: Double)) -> (x: Double, y: Double) {
        (
            Self.left + across.share(point.x) * Self.breadth,
            Self.floor - up.share(point.y) * Self.depth
        )
    }

    private var body: String { axes + leaders + series.indices.map(drawn).joined() }

    private var axes: String {
        let (centre, middle) = ((Self.left + Self.end) / 2, (Self.top + Self.floor) / 2)
        var lines = text(centre, 24, "middle", title, size: 14)
        for tick in across.ticks {
            let x = place((tick, up.start)).x
            lines += text(x, Self.floor + 18, "middle", across.words(tick))
            lines += line((x, Self.floor), (x, Self.floor + 4), "#888")
        }
        for tick in up.ticks {
            let y = place((0, tick)).y
            lines += text(Self.left - 8, y + 4, "end", up.words(tick))
            lines += line((Self.left, y), (Self.end, y), "#ddd")
        }
        lines += text(centre, Self.floor + Self.bottom - 12, "middle", horizontal)
        return lines
            + "<text transform=\"translate(18 \(middle.short)) rotate(-90)\" "
            + "text-anchor=\"middle\">\(vertical.escaped)</text>\n"
    }

    /// The names at the right margin, each with a line to the last point of its series. They are
    /// drawn behind all points.
    private var leaders: String {
        zip(series.indices, labelHeights).map { index, height in
            guard let last = series[index].points.last.map(place), !series[index].name.isEmpty
            else { return "" }
            let x = Self.end + 14
            return line((last.x, last.y), (x - 3, height - 4), "#ccc")
                + text(x, height, "start", series[index].name, colour: colour(index))
        }.joined()
    }

    private func colour(_ index: Int) -> String { Self.colours[index % Self.colours.count] }

    private func drawn(_ index: Int) -> String {
        let (series, colour) = (series[index], colour(index))
        let places = series.points.map(place)
        var body = ""
        for (point, interval) in zip(series.points, series.intervals) {
            body += line(
                place((point.x, interval.lowerBound)), place((point.x, interval.upperBound)),
                colour)
        }
        if series.style != .points {
            let path = places.map { "\($0.x.short),\($0.y.short)" }.joined(separator: " ")
            let dashes = series.style == .dashes ? " stroke-dasharray=\"4 4\"" : ""
            body +=
                "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" "
                + "stroke-width=\"2\"\(dashes)/>\n"
        }
        guard series.style == .points || places.count <= Self.marked, series.style != .dashes
        else { return body }
        for place in places {
            body +=
                "<circle cx=\"\(place.x.short)\" cy=\"\(place.y.short)\" "
                + "r=\"\(series.style == .line ? 2.5 : 5)\" fill=\"\(colour)\"/>\n"
        }
        return body
    }

    /// The heights of the names, as near to their points' heights as is possible without overlap.
    private var labelHeights: [Double] {
        let step = 17.0
        let wanted = series.map { ($0.points.last.map { place($0).y } ?? Self.top) + 4 }
        var heights = wanted
        var free = Self.top
        let order = wanted.indices.sorted { wanted[$0] < wanted[$1] }
        for index in order {
            heights[index] = max(wanted[index], free)
            free = heights[index] + step
        }
        // Names that are too low move up, and push up those above them.
        var limit = Self.floor
        for index in order.reversed() {
            heights[index] = min(heights[index], limit)
            limit = heights[index] - step
        }
        return heights
    }

    private func line(
        _ from: (x: Double, y: Double), _ to: (x: Double, y: Double), _ colour: String
    ) -> String {
        "<line x1=\"\(from.x.short)\" y1=\"\(from.y.short)\" x2=\"\(to.x.short)\" "
            + "y2=\"\(to.y.short)\" stroke=\"\(colour)\"/>\n"
    }

    private func text(
        _ x: Double, _ y: Double, _ anchor: String, _ words: String, size: Int = 12,
        colour: String = "#222"
    ) -> String {
        "<text x=\"\(x.short)\" y=\"\(y.short)\" text-anchor=\"\(anchor)\" font-size=\"\(size)\" "
            + "fill=\"\(colour)\">\(words.escaped)</text>\n"
    }
}

/// An axis around the values, with steps of 1, 2 or 5 times a power of ten.
private struct Axis {
    let start: Double
    let step: Double
    let count: Int

    init(from low: Double, to high: Double) {
        let span = high > low ? high - low : max(abs(high), 1)
        let power = pow(10, (log10(span / 5)).rounded(.down))
        step = [1, 2, 5, 10].map { $0 * power }.first { span / $0 <= 6 } ?? 10 * power
        start = (low / step).rounded(.down) * step
        count = max(1, Int(((high - start) / step).rounded(.up)))
    }

    var ticks: [Double] { (0...count).map { start + Double($0) * step } }
    func share(_ value: Double) -> Double { (value - start) / (Double(count) * step) }
    func words(_ tick: Double) -> String {
        // The loss of a training that diverges may be beyond all whole numbers.
        if abs(tick) >= 1e15 { return String(format: "%.1e", tick) }
        return step >= 1
            ? String(Int(tick.rounded())) : String(format: step >= 0.1 ? "%.1f" : "%.2f", tick)
    }
}

extension Double {
    fileprivate var short: String { String(format: "%.1f", self) }
}

extension String {
    fileprivate var escaped: String {
        replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
    }
}
