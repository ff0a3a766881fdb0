import Dispatch
import Foundation
import Glibc
import Synchronization

/// Handles SIGTERM, SIGINT, and SIGHUP, which a terminal sends when it closes. The first signal and
/// the later ones have different handlers: swift-service-lifecycle alone would ignore the later ones
/// while it drains.
final class Signals {
    private let sources: [any DispatchSourceSignal]

    /// The handlers run on a queue of their own.
    init(
        first: @escaping @Sendable () -> Void, second: @escaping @Sendable (Int32) -> Void
    ) {
        let queue = DispatchQueue(label: "l2s signals")
        let count = Mutex(0)
        sources = Self.heeded.map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                // Signals that come before the handler runs are one event.
                let seen = count.withLock { count in
                    count += Int(source.data)
                    return count
                }
                if seen == Int(source.data) { first() }
                if seen > 1 { second(number) }
            }
            source.resume()
            return source
        }
    }

    /// nohup starts a program with SIGHUP ignored, and then it stays ignored.
    private static var heeded: [Int32] {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let ignored =
            status.firstMatch(of: /SigIgn:\s*([0-9a-f]+)/)
            .flatMap { UInt64($0.output.1, radix: 16) } ?? 0
        return [SIGTERM, SIGINT] + (ignored & 1 << UInt64(SIGHUP - 1) == 0 ? [SIGHUP] : [])
    }

    func cancel() {
        for source in sources { source.cancel() }
    }
}
