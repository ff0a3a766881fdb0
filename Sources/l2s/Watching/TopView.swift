import Foundation
import Jobs
import PostgresJobs

/// The colours and characters that a terminal can show.
struct TopStyle {
    var hasColor: Bool
    var isUTF8: Bool

    /// For files and pipes.
    static let plain = TopStyle(hasColor: false, isUTF8: current.isUTF8)

    static let current: TopStyle = {
        let variables = ProcessInfo.processInfo.environment
        // As setlocale would: the first that is set and not empty.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { variables[$0] }
            .first { !$0.isEmpty }
        let name = (locale ?? "").lowercased()
        return TopStyle(
            hasColor: variables["NO_COLOR", default: ""].isEmpty,
            isUTF8: name.contains("utf-8") || name.contains("utf8"))
    }()

    func title(_ text: String) -> String { colored(text, 1) }
    func soft(_ text: String) -> String { colored(text, 2) }
    func bad(_ text: String) -> String { colored(text, 31) }

    private func colored(_ text: String, _ code: Int) -> String {
        hasColor ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
    }

    /// The characters from an empty cell to a full one.
    var steps: [Character] { Array(isUTF8 ? " ▁▂▃▄▅▆▇█" : " .:-=+*#@") }

    func bar(_ share: Double, width: Int) -> String {
        let (full, empty) = isUTF8 ? ("█", "░") : ("#", "-")
        let filled = Int((min(max(share, 0), 1) * Double(width)).rounded(.down))
        return String(repeating: full, count: filled)
            + String(repeating: empty, count: width - filled)
    }

    /// Replaces the characters that the terminal cannot show.
    func fitting(_ text: String) -> String {
        isUTF8 ? text : String(text.map { $0.isASCII ? $0 : $0 == "…" ? "~" : "?" })
    }
}

/// An overview as lines of text.
struct TopView {
    let overview: Overview
    let style: TopStyle

    /// - Parameter height: fewer groups are shown where all of them would not fit.
    func lines(width: Int, height: Int = .max) -> [String] {
        // In the first line, so that a small window does not cut it off.
        let dead = overview.dead > 0 ? "  " + deadWords : ""
        let summary = [
            style.title(cut(head, width)) + style.bad(cut(dead, max(0, width - head.count))),
            cut(rates, width), cut(spark(width: width), width), "",
        ]
        let workers =
            overview.workers.isEmpty
            ? [style.bad(cut("no worker is alive: start l2s-worker", width))]
            : table(self.workers, width)
        let stages =
            overview.stages.isEmpty
            ? [style.soft(cut("stage times: no document finished in the last minute", width))]
            : table(self.stages, width)
        let above = summary + table(queues, width)
        let below = [""] + workers + [""] + stages + [""] + failures(width)
        guard !overview.groups.isEmpty else { return above + below }
        let room = max(2, height - above.count - below.count - 2)
        return above + [""] + table(groups(overview.groups.prefix(room)), width) + below
    }

    private func cut(_ text: String, _ width: Int) -> String {
        style.fitting(text.count <= width ? text : text.prefix(max(0, width - 1)) + "…")
    }

    private func table(_ columns: Columns, _ width: Int) -> [String] {
        let lines = columns.lines.map { cut($0, width) }
        return lines.prefix(1).map(style.soft) + lines.dropFirst()
    }

    private func sum(_ value: (Overview.Queue) -> Int) -> Int {
        overview.queues.reduce(0) { $0 + value($1) }
    }

    private var head: String {
        let workers = overview.workers.count
        return "l2s  \(TimeText.clock(overview.time).prefix(19))Z  "
            + (workers == 1 ? "1 worker" : "\(workers) workers")
    }

    private func perSecond(_ count: Int) -> String {
        (Double(count) / overview.rateS).rounded(digits: 1)
    }

    private var rates: String {
        let documents = Double(sum(\.finished)) / overview.rateS
        let tokens = Double(overview.tokens) / overview.rateS
        let left = sum { $0.waiting + $0.running + $0.delayed }
        let outlook =
            if left == 0 {
                "the queue is empty"
            } else if overview.isPaused {
                "paused"
            } else if documents > 0 {
                "done in \(TimeText.words(seconds: Double(left) / documents)) at this rate"
            } else {
                "none finished in the last minute"
            }
        return "\(documents.rounded(digits: 1)) documents/s  \(Int(tokens).grouped) tokens/s  "
            + "\(left.grouped) to do, \(outlook)"
    }

    /// One column for each minute, or fewer columns if the terminal is narrow.
    private func spark(width: Int) -> String {
        let label = "last hour "
        let columns = max(1, min(60, width - label.count - 24))
        let span = 3600.0 / Double(columns)
        var sums = Array(repeating: 0.0, count: columns)
        for point in overview.points {
            let column = Int((Double(point.time) - overview.time + 3600) / span)
            if sums.indices.contains(column) { sums[column] += Double(point.documents) / span }
        }
        let high = sums.max() ?? 0
        let steps = style.steps
        let bars = sums.map { value in
            high > 0 ? steps[Int((value / high * Double(steps.count - 1)).rounded(.up))] : " "
        }
        let peak = high > 0 ? " at most \(high.rounded(digits: 1))/s" : " nothing finished"
        return label + "|" + String(bars) + "|" + peak
    }

    private var queues: Columns {
        // Room is scarce, and usually nothing is delayed or cancelled.
        let (isDelayed, isCancelled) = (sum(\.delayed) > 0, sum(\.cancelled) > 0)
        let header: [(String, Columns.Alignment)?] = [
            ("job type", .left), ("waiting", .right), isDelayed ? ("delayed", .right) : nil,
            ("running", .right), ("oldest", .right), ("docs/s", .right), ("failed/min", .right),
            isCancelled ? ("cancelled/min", .right) : nil, ("", .left),
        ]
        var columns = Columns(header.compactMap(\.self))
        for queue in overview.queues {
            let cells = [
                queue.name, queue.waiting.grouped, isDelayed ? queue.delayed.grouped : nil,
                queue.running.grouped,
                queue.oldestWaitingS.map { TimeText.words(seconds: $0) } ?? "",
                perSecond(queue.finished), queue.failed.grouped,
                isCancelled ? queue.cancelled.grouped : nil, state(queue),
            ]
            columns.add(cells.compactMap(\.self))
        }
        return columns
    }

    private func state(_ queue: Overview.Queue) -> String {
        [
            queue.paused ? "paused" : nil,
            queue.cancelling > 0 ? "cancelling \(queue.cancelling.grouped)" : nil,
        ].compactMap(\.self).joined(separator: ", ")
    }

    private func groups(_ shown: ArraySlice<Overview.Group>) -> Columns {
        let all = overview.groups.count
        var columns = Columns([
            (shown.count < all ? "group, \(shown.count) of \(all)" : "group", .left),
            ("done", .left), ("", .right), ("left", .right), ("failed", .right),
            ("cancelled", .right), ("docs/s", .right), ("done in", .right),
        ])
        for group in shown {
            let share = group.documents.map { 1 - Double(group.left) / Double($0) }
            columns.add([
                // The name of a group may be any text.
                group.name.shortened(to: 24), share.map { style.bar($0, width: 10) } ?? "",
                // At most 99 % before all of it is done.
                share.map { "\(Int(min($0 * 100, 99)))%" } ?? "", group.left.grouped,
                group.failed?.grouped ?? "", group.cancelled?.grouped ?? "",
                perSecond(group.finished), outlook(group),
            ])
        }
        return columns
    }

    private func outlook(_ group: Overview.Group) -> String {
        if overview.isPaused { return "paused" }
        guard group.finished > 0 else { return "" }
        return TimeText.words(
            seconds: Double(group.left) / Double(group.finished) * overview.rateS)
    }

    private var workers: Columns {
        var columns = Columns([
            ("worker", .left), ("", .left), ("lanes busy", .right), ("batch fill", .right),
            ("hand-off", .right), ("holds", .right), ("docs/s", .right),
        ])
        for worker in overview.workers {
            let load = worker.load
            let state =
                worker.draining
                ? "stopping"
                : worker.silentS > 30
                    ? "silent \(TimeText.words(seconds: worker.silentS))"
                    : worker.idle ? "idle" : "busy"
            columns.add([
                worker.name, state,
                load.map {
                    "\(($0.lanesBusy * Double($0.lanes)).rounded(digits: 1)) of \($0.lanes)"
                }
                    ?? "",
                load?.batchFill.map { $0.rounded(digits: 1) } ?? "",
                load.map { "\($0.handoff)/\($0.handoffCapacity)" } ?? "",
                worker.documents.grouped, perSecond(worker.finished),
            ])
        }
        return columns
    }

    private var stages: Columns {
        var columns = Columns(
            [("times", .left)] + overview.stages.map { (TimeText.stage($0.name), .right) })
        for (name, time) in [("p50", \Overview.Stage.p50Ms), ("p95", \.p95Ms)] {
            columns.add(
                [name] + overview.stages.map { TimeText.words(seconds: $0[keyPath: time] / 1000) })
        }
        return columns
    }

    private var deadWords: String {
        overview.dead == 1 ? "1 dead letter" : "\(overview.dead.grouped) dead letters"
    }

    private func failures(_ width: Int) -> [String] {
        guard overview.dead > 0 else { return [style.soft("no dead letters in the last 24 hours")] }
        return [style.bad(cut("\(deadWords) in the last 24 hours", width))]
            + overview.deadLetters.map { letter in
                let line =
                    "#\(letter.id) \(letter.jobType), \(TimeText.words(seconds: letter.ageS)) ago: "
                    + letter.error
                return style.fitting(line.shortened(to: width))
            }
    }
}
