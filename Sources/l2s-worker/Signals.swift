import Dispatch
import Glibc
import Synchronization

/// SIGTERM and SIGINT, the first told from those after it. swift-service-lifecycle's own handling
/// would ignore the second one while it drains.
final class Signals {
    private let sources: [any DispatchSourceSignal]

    /// The handlers run on a queue of their own.
    init(
        first: @escaping @Sendable () -> Void, second: @escaping @Sendable (Int32) -> Void
    ) {
        let queue = DispatchQueue(label: "l2s signals")
        let count = Mutex(0)
        sources = [SIGTERM, SIGINT].map { number in
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

    func cancel() {
        for source in sources { source.cancel() }
    }
}
