internal import Foundation

/// How many documents the pipeline holds, and the callers that wait for room. Pure: the engine
/// changes it under its lock, and resumes the waiters that it returns after it has released the
/// lock.
struct Admission<Waiter> {
    /// There is room while the pipeline holds fewer documents than this.
    let capacity: Int
    /// Callers are woken only for at least this much room, so that claims stay large.
    private let worthwhileRoom: Int
    /// Documents that were accepted and are neither delivered nor withdrawn.
    private(set) var documents = 0
    private var waiters: [UUID: Waiter] = [:]
    /// Waiters that were cancelled before they began to wait.
    private var cancelled: Set<UUID> = []
    private var isClosed = false

    /// Callers to be woken, and the room that each is told: 0 if the wait was cancelled or the
    /// pipeline stops.
    typealias Answers = (waiters: [Waiter], room: Int)

    init(capacity: Int) {
        self.capacity = capacity
        worthwhileRoom = max(1, capacity / 4)
    }

    /// Accepts more than the capacity, too: callers are expected to ask for room first.
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

    /// Call it after each wait, because a waiter that was woken and then cancelled would stay
    /// noted.
    mutating func forget(_ id: UUID) { cancelled.remove(id) }

    /// Ends all waits, those to come included.
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
