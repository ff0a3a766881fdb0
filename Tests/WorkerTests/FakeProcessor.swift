import Jobs
import Synchronization

@testable import Worker

/// An engine whose lanes do what the test says, or one that finishes every document at once.
final class FakeProcessor: DocumentProcessor {
    private typealias Item = (
        id: Int64, deliver: @Sendable (FinishedDocument) -> Void
    )

    private struct State {
        var queue: [Item] = []
        var running: [Item] = []
        var withdrawn: Set<Int64> = []
    }

    private let state = Mutex(State())
    private let room = Signal()
    private let capacity: Int
    private let isInstant: Bool
    private let outcome: Outcome

    init(
        capacity: Int = 1000, isInstant: Bool = false,
        outcome: Outcome = .succeeded(output: "out", tokens: [1])
    ) {
        self.capacity = capacity
        self.isInstant = isInstant
        self.outcome = outcome
    }

    // MARK: What tests do

    /// Lets the lanes take up so many documents.
    func takeUp(_ count: Int) {
        state.withLock { state in
            state.running += state.queue.prefix(count)
            state.queue.removeFirst(count)
        }
    }

    func finish(_ id: Int64) {
        let item = state.withLock { state in
            state.running.firstIndex { $0.id == id }.map { state.running.remove(at: $0) }
        }
        item?.deliver(.fixture(id))
        room.fire()
    }

    var withdrawn: Set<Int64> { state.withLock(\.withdrawn) }

    // MARK: What the worker does

    func waitForRoom() async -> Int {
        while !Task.isCancelled {
            let free = state.withLock { capacity - $0.queue.count - $0.running.count }
            if free > 0 { return free }
            await room.wait()
        }
        return 0
    }

    func submit(
        _ documents: [SourceDocument], deliver: @escaping @Sendable (FinishedDocument) -> Void
    ) {
        if isInstant {
            for document in documents { deliver(.fixture(document.id, outcome)) }
        } else {
            state.withLock { $0.queue += documents.map { ($0.id, deliver) } }
        }
    }

    func withdraw(_ ids: Set<Int64>) -> Set<Int64> {
        defer { room.fire() }
        return state.withLock { state in
            let taken = Set(state.queue.map(\.id).filter(ids.contains))
            state.queue.removeAll { taken.contains($0.id) }
            state.withdrawn.formUnion(taken)
            return taken
        }
    }
}
