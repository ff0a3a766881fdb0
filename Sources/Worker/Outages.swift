internal import Telemetry

/// Reports an outage of the store once when it begins and once when it is over, however many calls
/// fail in between.
struct Outages {
    /// The connections, which can fail independently.
    enum Link: Hashable {
        case work
        case heartbeat
        case chores
    }

    private var down: Set<Link> = []
    private var began: ContinuousClock.Instant?

    mutating func failed(
        _ link: Link, doing: String, reason: String, now: ContinuousClock.Instant
    ) -> WorkerEvent? {
        down.insert(link)
        guard began == nil else { return nil }
        began = now
        return .storeUnavailable(doing: doing, reason: reason)
    }

    mutating func succeeded(_ link: Link, now: ContinuousClock.Instant) -> WorkerEvent? {
        down.remove(link)
        guard down.isEmpty, let start = began else { return nil }
        began = nil
        return .reconnected(outage: start.duration(to: now))
    }
}
