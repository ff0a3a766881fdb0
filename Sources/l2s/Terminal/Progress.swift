import Foundation
import Glibc
import Synchronization

/// Shows how far a long command is, how fast it goes, and how long it will still take. It writes to
/// standard error: on a terminal one line that is drawn over, elsewhere a plain line every ten
/// seconds. Safe to use from any thread.
final class Progress: Sendable {
    private let meter: Mutex<Meter>
    private let isTerminal =
        isatty(STDERR_FILENO) == 1
        && ProcessInfo.processInfo.environment["TERM"] ?? "dumb" != "dumb"

    /// - Parameters:
    ///   - unit: what is counted, in the plural.
    ///   - rate: the unit of the rate, such as `MB/s`.
    init(_ title: String, unit: String, rate: String = "/s") {
        meter = Mutex(Meter(title: title, unit: unit, rateUnit: rate, start: .now))
    }

    /// Begins another step of the work, of which earlier runs may have done a part. Rate and time left
    /// are those of this run.
    ///
    /// - Parameters:
    ///   - done: how many units earlier runs have done.
    ///   - total: nil when it is unknown.
    ///   - fraction: the share of the work that is done, 0 to 1, where there is no total.
    func begin(_ title: String, at done: Int = 0, of total: Int? = nil, fraction: Double? = nil) {
        meter.withLock { $0.begin(title, at: done, of: total, fraction: fraction, now: .now) }
    }

    /// - Parameters:
    ///   - done: how many units are done so far.
    ///   - total: nil when it is unknown.
    ///   - fraction: the share of the work that is done, 0 to 1, where the count does not say it.
    ///   - title: the step of the work; with another title, rate and time left begin anew.
    ///   - remark: text for the end of the line.
    func update(
        _ done: Int, of total: Int? = nil, fraction: Double? = nil, title: String? = nil,
        remark: String? = nil
    ) {
        let isTerminal = isTerminal
        let line = meter.withLock { meter -> String? in
            if let title, title != meter.title {
                meter.begin(title, at: 0, of: total, fraction: 0, now: .now)
            }
            meter.update(done, of: total, fraction: fraction, remark: remark)
            let interval = Duration.milliseconds(isTerminal ? 100 : 10_000)
            guard meter.isDue(every: interval, now: .now) else { return nil }
            return isTerminal
                ? meter.drawn(width: Self.width, style: .current, now: .now)
                : meter.words(now: .now)
        }
        guard let line else { return }
        // Goes back to the start of the line, and clears what stood there.
        isTerminal ? Console.remark("\r\(line)\u{1b}[K") : Console.note(line)
    }

    /// Clears the line.
    func end() {
        let isShown = meter.withLock { $0.takeAway() }
        if isTerminal, isShown { Console.remark("\r\u{1b}[K") }
    }

    /// Clears the line, and leaves one that says how much was done, and how fast.
    func conclude() {
        end()
        Console.note(meter.withLock { $0.conclusion(now: .now) })
    }

    private static var width: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return 80
        }
        return Int(size.ws_col)
    }
}

/// The state of the work, and the words for it. It is pure: callers pass the time.
private struct Meter {
    typealias Instant = ContinuousClock.Instant

    private(set) var title: String
    private var start: Instant
    let unit: String
    let rateUnit: String
    /// When the line was shown last.
    private var last: Instant?
    private var isShown = false
    private var done = 0
    private var total: Int?
    private var fraction: Double?
    private var remark: String?
    /// What was done before the start.
    private var before = (done: 0, fraction: 0.0)

    init(title: String, unit: String, rateUnit: String, start: Instant) {
        (self.title, self.unit, self.rateUnit, self.start) = (title, unit, rateUnit, start)
    }

    mutating func begin(
        _ title: String, at done: Int, of total: Int?, fraction: Double?, now: Instant
    ) {
        (self.title, start) = (title, now)
        update(done, of: total, fraction: fraction, remark: nil)
        before = (done, self.fraction ?? 0)
    }

    mutating func update(_ done: Int, of total: Int?, fraction: Double?, remark: String?) {
        self.done = done
        self.total = total
        self.fraction = fraction ?? total.map { $0 > 0 ? Double(done) / Double($0) : 1 }
        self.remark = remark
    }

    mutating func isDue(every interval: Duration, now: Instant) -> Bool {
        guard (last ?? start).duration(to: now) >= interval else { return false }
        last = now
        isShown = true
        return true
    }

    /// Whether there is a line to clear.
    mutating func takeAway() -> Bool {
        defer { isShown = false }
        return isShown
    }

    private func seconds(_ now: Instant) -> Double { start.duration(to: now) / .seconds(1) }

    private var count: String {
        total.map { "\(done.grouped) of \($0.grouped) \(unit)" } ?? "\(done.grouped) \(unit)"
    }

    private func rate(_ now: Instant) -> String {
        let rate = Double(done - before.done) / max(seconds(now), 0.001)
        let number = rate < 10 ? rate.rounded(digits: 1) : Int(rate).grouped
        return number + (rateUnit.hasPrefix("/") ? "" : " ") + rateUnit
    }

    func words(now: Instant) -> String {
        var words = "\(title): \(count)"
        guard done > before.done else { return words }
        words += ", " + rate(now)
        if let fraction, fraction > before.fraction, fraction < 1 {
            let left = seconds(now) * (1 - fraction) / (fraction - before.fraction)
            words += ", \(TimeText.words(seconds: left)) left"
        }
        return words + (remark.map { "; " + $0 } ?? "")
    }

    func conclusion(now: Instant) -> String {
        "\(title): \(count) in \(TimeText.words(seconds: seconds(now))), \(rate(now))"
    }

    /// The words, with a bar in front if there is room for one.
    func drawn(width: Int, style: TopStyle, now: Instant) -> String {
        let words = style.fitting(words(now: now))
        let room = min(30, width - 2 - words.count)
        guard let fraction, room >= 8 else { return String(words.prefix(max(0, width - 1))) }
        return style.bar(fraction, width: room) + " " + words
    }
}
