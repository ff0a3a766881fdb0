import Dispatch
import Foundation
import Glibc

/// Draws over the whole terminal, and restores it at the end.
///
/// Unchecked `Sendable`, because only the task that draws uses it.
final class Screen: @unchecked Sendable {
    enum Event { case tick, resize, leave }

    private var former = termios()
    private var sources: [any DispatchSourceProtocol] = []

    /// Nil if standard output or input is no terminal, or one that cannot be drawn over.
    init?() {
        guard Console.isTerminal, isatty(STDIN_FILENO) == 1,
            ProcessInfo.processInfo.environment["TERM"] ?? "dumb" != "dumb",
            tcgetattr(STDIN_FILENO, &former) == 0
        else { return nil }
        var raw = former
        // Keys arrive one by one and are not shown. Ctrl-C stays a signal.
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        // The alternate screen, without a cursor.
        Console.show("\u{1b}[?1049h\u{1b}[?25l")
    }

    func close() {
        for source in sources { source.cancel() }
        Console.show("\u{1b}[?25h\u{1b}[?1049l")
        tcsetattr(STDIN_FILENO, TCSANOW, &former)
    }

    var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
        else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Draws in place, so that nothing flickers; what does not fit is counted in the last line.
    func show(_ lines: [String]) {
        let rows = size.rows
        var shown = lines.prefix(rows)
        if lines.count > rows {
            shown = lines.prefix(rows - 1) + ["(\(lines.count - rows + 1) more lines)"]
        }
        Console.show(
            "\u{1b}[H" + shown.map { $0 + "\u{1b}[K" }.joined(separator: "\r\n") + "\u{1b}[J")
    }

    /// The first tick comes at once.
    func events(every interval: Duration) -> AsyncStream<Event> {
        let (stream, events) = AsyncStream.makeStream(
            of: Event.self, bufferingPolicy: .bufferingOldest(16))
        let timer = DispatchSource.makeTimerSource(queue: .global())
        timer.setEventHandler { events.yield(.tick) }
        timer.schedule(deadline: .now(), repeating: interval / .seconds(1))
        let keys = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: .global())
        keys.setEventHandler {
            var key: UInt8 = 0
            // At the end of input the terminal is gone.
            if read(STDIN_FILENO, &key, 1) != 1 || key == UInt8(ascii: "q") { events.yield(.leave) }
        }
        let signals = [
            (SIGINT, Event.leave), (SIGTERM, .leave), (SIGHUP, .leave), (SIGWINCH, .resize),
        ]
        .map { number, event in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { events.yield(event) }
            return source
        }
        sources = [timer, keys] + signals
        for source in sources { source.activate() }
        return stream
    }
}
