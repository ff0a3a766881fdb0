/// Text in columns for a terminal.
struct Columns {
    enum Alignment { case left, right }

    private let alignments: [Alignment]
    private var rows: [[String]]

    init(_ header: [(String, Alignment)]) {
        alignments = header.map(\.1)
        rows = [header.map(\.0)]
    }

    mutating func add(_ row: [String]) {
        precondition(row.count == alignments.count, "\(row.count) of \(alignments.count) columns")
        rows.append(row)
    }

    /// A line per row, two spaces between columns, none at the end.
    var lines: [String] {
        let widths = alignments.indices.map { column in
            rows.map { $0[column].count }.max() ?? 0
        }
        return rows.map { row in
            let cells = zip(row, zip(alignments, widths)).map { cell, shape in
                cell.padded(to: shape.1, shape.0)
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}

extension String {
    func padded(to width: Int, _ alignment: Columns.Alignment = .left) -> String {
        let space = String(repeating: " ", count: max(0, width - count))
        return alignment == .left ? self + space : space + self
    }

    /// On one line of at most `width` characters, without characters that control a terminal.
    ///
    /// - Precondition: `width` is at least 1.
    func shortened(to width: Int) -> String {
        let line = oneLine
        return line.count <= width ? line : line.prefix(width - 1) + "…"
    }

    /// The same on as many lines as it takes, at least one. A word longer than `width` is cut.
    func wrapped(to width: Int) -> [String] {
        var lines = [""]
        for word in oneLine.split(separator: " ") {
            var rest = Substring(word)
            if !lines[lines.count - 1].isEmpty {
                if lines[lines.count - 1].count + 1 + rest.count <= width {
                    lines[lines.count - 1] += " " + rest
                    continue
                }
                lines.append("")
            }
            while rest.count > width {
                lines[lines.count - 1] = String(rest.prefix(width))
                rest = rest.dropFirst(width)
                lines.append("")
            }
            lines[lines.count - 1] = String(rest)
        }
        return lines
    }

    private var oneLine: String {
        let visible = String(
            String.UnicodeScalarView(
                unicodeScalars.lazy.map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .lineSeparator, .paragraphSeparator: " "
                    default: scalar
                    }
                }))
        return visible.split(separator: " ", omittingEmptySubsequences: true)
            .joined(separator: " ")
    }
}

extension Int {
    /// With a comma every three digits.
    var grouped: String {
        var digits = String(magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (self < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }
}

extension Double {
    func rounded(digits: Int) -> String {
        guard isFinite else { return "–" }
        let factor = digits == 0 ? 1.0 : digits == 1 ? 10 : 100
        let units = Int(exactly: (magnitude * factor).rounded()) ?? Int.max
        let whole = String(units / Int(factor))
        guard digits > 0 else { return (self < 0 ? "-" : "") + whole }
        let rest = String(units % Int(factor))
        let fraction = String(repeating: "0", count: Swift.max(0, digits - rest.count)) + rest
        return (self < 0 ? "-" : "") + whole + "." + fraction
    }
}
