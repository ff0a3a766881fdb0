import Foundation
import Glibc
import Synchronization

/// How far a long command is and how fast it goes: on a terminal one line that is drawn over,
/// elsewhere a plain line every ten seconds. On standard error, beside the results.
final class Progress: Sendable {
    private let title: String
    private let unit: String
    private let start = ContinuousClock.now
    private let last = Mutex(ContinuousClock.now)
    private let isTerminal = isatty(STDERR_FILENO) == 1

    init(_ title: String, unit: String) {
        self.title = title
        self.unit = unit
    }

    func update(_ done: Int, of total: Int) {
        let now = ContinuousClock.now
        let interval = Duration.milliseconds(isTerminal ? 100 : 10_000)
        let isDue = last.withLock { last in
            guard last.duration(to: now) >= interval else { return false }
            last = now
            return true
        }
        guard isDue else { return }
        let seconds = start.duration(to: now) / .seconds(1)
        let left = TimeText.words(seconds: seconds * Double(total - done) / Double(max(done, 1)))
        let line = "\(title): \(done.grouped) of \(total.grouped) \(unit), \(left) left"
        FileHandle.standardError.write(
            Data((isTerminal ? "\r\(line)\u{1b}[K" : line + "\n").utf8))
    }

    /// Takes the line away.
    func end() {
        if isTerminal { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    }
}
