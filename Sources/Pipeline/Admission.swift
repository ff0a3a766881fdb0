internal import Foundation

/// How many documents the pipeline takes, and the callers that wait for room. Pure: whoever holds
/// the lock changes it, and answers the waiters that it returns once the lock is free again.
struct Admission<Waiter> {
    /// At most so many documents are accepted.
    let capacity: Int
    /// Callers are not woken for less room than this, so that claims stay large.
    private let worthwhileRoom: Int
    /// Accepted and neither delivered nor withdrawn.
    private(set) var documents = 0
    private var waiters: [UUID: Waiter] = [:]
    /// Cancelled before they came to wait.
    private var cancelled: Set<UUID> = []
    private var isClosed = false

    /// Callers to be woken, with the room that each is told; 0 for one that waits no longer.
    typealias Answers = (waiters: [Waiter], room: Int)

    init(capacity: Int) {
        self.capacity = capacity
        worthwhileRoom = max(1, capacity / 4)
    }

    /// More than the capacity is accepted too: callers ask for room first.
    mutating func accept(_ count: Int) { documents += count }

    mutating func release(_ count: Int) -> Answers {
        documents -= count
        return answers()
    }

    mutating func wait(_ id: UUID, _ waiter: Waiter) -> Answers {
        guard !isClosed, cancelled.remove(id) == nil else { return ([waiter], 0) }
        waiters[id] = waiter
        return answers()
    }

    mutating func cancel(_ id: UUID) -> Answers {
        if let waiter = waiters.removeValue(forKey: id) { return ([waiter], 0) }
        cancelled.insert(id)
        return ([], 0)
    }

    /// A waiter that was both woken and cancelled leaves no trace.
    mutating func forget(_ id: UUID) { cancelled.remove(id) }

    /// Nobody waits from now on.
    mutating func close() -> Answers {
        isClosed = true
        defer { waiters = [:] }
        return (Array(waiters.values), 0)
    }

    private mutating func answers() -> Answers {
        let room = capacity - documents
        guard room >= worthwhileRoom else { return ([], 0) }
        defer { waiters = [:] }
        return (Array(waiters.values), room)
    }
}
