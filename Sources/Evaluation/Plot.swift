internal import Foundation

/// Measured points of several series on axes from zero or from near the least value, as SVG.
package struct Plot: Sendable {
    package struct Series: Sendable {
        package let name: String
        package let points: [(x: Double, y: Double)]
        /// Whether a line joins the points, in their order; otherwise each has its name beside it.
        package let isLine: Bool

        package init(name: String, points: [(x: Double, y: Double)], isLine: Bool) {
            self.name = name
            self.points = points
            self.isLine = isLine
        }
    }

    let title: String
    let horizontal: String
    let vertical: String
    let series: [Series]
    /// Whether the vertical axis begins at 0.
    let startsAtZero: Bool

    package init(
        title: String, horizontal: String, vertical: String, series: [Series], startsAtZero: Bool
    ) {
        self.title = title
        self.horizontal = horizontal
        self.vertical = vertical
        self.series = series
        self.startsAtZero = startsAtZero
    }

    private static let (width, height) = (720.0, 420.0)
    private static let (left, right, top, bottom) = (70.0, 190.0, 44.0, 54.0)
    /// Told apart by people who see colours differently (Okabe and Ito).
    private static let colours = [
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933",
        "#882255", "#777777",
    ]

    package var svg: String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(Self.width))" \
        height="\(Int(Self.height))" font-family="sans-serif" font-size="12">
        <rect width="100%" height="100%" fill="white"/>
        \(axes)\(bodies)</svg>

        """
    }

    private var points: [(x: Double, y: Double)] { series.flatMap(\.points) }
    private var across: Axis { Axis(from: 0, to: points.map(\.x).max() ?? 1) }
    private var up: Axis {
        let values = points.map(\.y)
        return Axis(from: startsAtZero ? 0 : values.min() ?? 0, to: values.max() ?? 1)
    }

    private func place(_ point: (x: Double, y: Double)) -> (x: Double, y: Double) {
        (
            Self.left + across.share(point.x) * (Self.width - Self.left - Self.right),
            Self.height - Self.bottom - up.share(point.y) * (Self.height - Self.top - Self.bottom)
        )
    }

    private var axes: String {
        let (floor, end) = (Self.height - Self.bottom, Self.width - Self.right)
        let (centre, middle) = ((Self.left + end) / 2, (Self.top + floor) / 2)
        var lines = text(centre, 24, "middle", title, size: 14)
        for tick in across.ticks {
            let x = place((tick, up.start)).x
            lines += text(x, floor + 18, "middle", across.words(tick))
            lines += line((x, floor), (x, floor + 4), "#888")
        }
        for tick in up.ticks {
            let y = place((0, tick)).y
            lines += text(Self.left - 8, y + 4, "end", up.words(tick))
            lines += line((Self.left, y), (end, y), "#ddd")
        }
        lines += text(centre, Self.height - 12, "middle", horizontal)
        return lines
            + "<text transform=\"translate(18 \(middle)) rotate(-90)\" text-anchor=\"middle\">"
            + "\(vertical.escaped)</text>\n"
    }

    private var bodies: String {
        let labels = labelHeights
        return series.enumerated().map { index, series in
            let colour = Self.colours[index % Self.colours.count]
            let places = series.points.map(place)
            var body = ""
            if series.isLine {
                let path = places.map { "\($0.x.short),\($0.y.short)" }.joined(separator: " ")
                body +=
                    "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" "
                    + "stroke-width=\"2\"/>\n"
            }
            for place in places {
                body +=
                    "<circle cx=\"\(place.x.short)\" cy=\"\(place.y.short)\" "
                    + "r=\"\(series.isLine ? 2.5 : 5)\" fill=\"\(colour)\"/>\n"
            }
            guard let last = places.last else { return body }
            let (x, y) = (Self.width - Self.right + 14, labels[index])
            body += line((last.x + 6, last.y), (x - 3, y - 4), "#ccc")
            return body + text(x, y, "start", series.name, colour: colour)
        }.joined()
    }

    /// At the right margin, as near to their points' heights as leaves none on another.
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
        // Too low ones push those above them up.
        var limit = Self.height - Self.bottom
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

/// Round steps of 1, 2 or 5 around the values.
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
        step >= 1
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
