/// Lines through measured points on axes from zero, as SVG.
package struct LinePlot: Sendable {
    package struct Line: Sendable {
        package var name: String
        package var points: [(x: Double, y: Double)]

        package init(_ name: String, _ points: [(x: Double, y: Double)]) {
            self.name = name
            self.points = points
        }
    }

    package var title: String
    package var horizontal: String
    package var vertical: String
    package var lines: [Line]
    /// Whether a dashed line shows growth in proportion to the first point.
    package var showsProportion: Bool

    package init(
        title: String, horizontal: String, vertical: String, lines: [Line],
        showsProportion: Bool = false
    ) {
        self.title = title
        self.horizontal = horizontal
        self.vertical = vertical
        self.lines = lines
        self.showsProportion = showsProportion
    }

    /// One line beside that of proportional growth.
    package init(
        title: String, horizontal: String, vertical: String, points: [(x: Double, y: Double)]
    ) {
        self.init(
            title: title, horizontal: horizontal, vertical: vertical, lines: [Line("", points)],
            showsProportion: true)
    }

    private static let colors = ["#06c", "#d60", "#090", "#a0a", "#666"]
    /// Beyond so many points, marks would hide the line.
    private static let marked = 40

    private static let width = 460.0
    private static let height = 320.0
    private static let left = 70.0
    private static let bottom = 50.0
    private static let top = 40.0
    private static let right = 20.0

    /// The plots beside each other.
    package static func svg(_ plots: [LinePlot]) -> String {
        let total = Double(plots.count) * width
        let bodies = plots.enumerated().map { index, plot in
            "<g transform=\"translate(\(Double(index) * width) 0)\">\n\(plot.body)</g>\n"
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(total)" height="\(height)" \
            font-family="sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>
            \(bodies.joined())</svg>

            """
    }

    private var body: String {
        let points = lines.flatMap(\.points)
        let highest = (x: points.map(\.x).max() ?? 1, y: points.map(\.y).max() ?? 1)
        let axes = (x: Self.ticks(upTo: highest.x), y: Self.ticks(upTo: highest.y))
        let end = (x: axes.x.last ?? 1, y: axes.y.last ?? 1)
        let plotWidth = Self.width - Self.left - Self.right
        let plotHeight = Self.height - Self.top - Self.bottom
        func place(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
            (
                Self.left + x / end.x * plotWidth,
                Self.top + plotHeight - min(y / end.y, 1) * plotHeight
            )
        }
        func text(_ x: Double, _ y: Double, _ anchor: String, _ words: String) -> String {
            "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor)\">\(words)</text>\n"
        }
        let floor = Self.top + plotHeight
        let centre = Self.left + plotWidth / 2
        var svg = text(centre, 22, "middle", title)
        for tick in axes.x {
            svg += text(place(tick, 0).x, floor + 18, "middle", tick.short)
        }
        for tick in axes.y {
            let y = place(0, tick).y
            svg += text(Self.left - 8, y + 4, "end", tick.short)
            svg +=
                "<line x1=\"\(Self.left)\" x2=\"\(Self.left + plotWidth)\" y1=\"\(y)\" "
                + "y2=\"\(y)\" stroke=\"#ddd\"/>\n"
        }
        svg += text(centre, Self.height - 10, "middle", horizontal)
        svg +=
            "<text transform=\"translate(18 \(Self.top + plotHeight / 2)) rotate(-90)\" "
            + "text-anchor=\"middle\">\(vertical)</text>\n"
        if showsProportion, let first = points.first, first.x > 0, first.y > 0 {
            let slope = first.y / first.x
            let x = min(end.x, end.y / slope)
            let (from, to) = (place(0, 0), place(x, x * slope))
            svg +=
                "<line x1=\"\(from.x)\" y1=\"\(from.y)\" x2=\"\(to.x)\" y2=\"\(to.y)\" "
                + "stroke=\"#999\" stroke-dasharray=\"4 4\"/>\n"
        }
        for (index, line) in lines.enumerated() {
            let color = Self.colors[index % Self.colors.count]
            let places = line.points.map { place($0.x, $0.y) }
            let path = places.map { "\($0.x),\($0.y)" }.joined(separator: " ")
            svg +=
                "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(color)\" "
                + "stroke-width=\"2\"/>\n"
            if places.count <= Self.marked {
                for place in places {
                    svg +=
                        "<circle cx=\"\(place.x)\" cy=\"\(place.y)\" r=\"3\" fill=\"\(color)\"/>\n"
                }
            }
            if lines.count > 1 {
                let y = Self.top + 14 + 16 * Double(index)
                svg +=
                    "<text x=\"\(Self.width - Self.right - 4)\" y=\"\(y)\" text-anchor=\"end\" "
                    + "fill=\"\(color)\">\(line.name)</text>\n"
            }
        }
        return svg
    }

    /// Round steps of 1, 2 or 5 from zero to the first that reaches `highest`.
    private static func ticks(upTo highest: Double) -> [Double] {
        guard highest > 0, highest.isFinite else { return [0, 1] }
        var step = 1e-9
        let factors = [2.0, 2.5, 2.0]
        var turn = 0
        while highest / step > 6 {
            step *= factors[turn % 3]
            turn += 1
        }
        return (0...Int((highest / step).rounded(.up))).map { Double($0) * step }
    }
}

extension Double {
    /// Without digits that say nothing.
    fileprivate var short: String {
        let rounded = (self * 1_000).rounded() / 1_000
        return rounded == rounded.rounded() ? String(Int(rounded)) : String(rounded)
    }
}
