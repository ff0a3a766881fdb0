internal import Foundation

/// Looks at the queue for all open pages together, and only while one is open.
package actor LiveFeed {
    /// More would cost the worker more than they show.
    static let maximumPages = 100
    private static let interval = Duration.seconds(2)

    private let look: @Sendable () async -> String
    private var pages: [UUID: AsyncStream<String>.Continuation] = [:]
    private var last: String?
    private var seenAt: ContinuousClock.Instant?
    private var task: Task<Void, Never>?

    /// - Parameter look: one line of JSON; failures are said in it.
    package init(look: @escaping @Sendable () async -> String) {
        self.look = look
    }

    /// What is seen now, or was a moment ago.
    func latest() async -> String {
        if let last, let seenAt, seenAt.duration(to: .now) < Self.interval * 2 { return last }
        return await seeing()
    }

    private func seeing() async -> String {
        let seen = await look()
        last = seen
        seenAt = .now
        return seen
    }

    /// What is seen from now on, the latest first. Nil when too many look already.
    func subscribe() -> AsyncStream<String>? {
        guard pages.count < Self.maximumPages else { return nil }
        let id = UUID()
        // A page that is slow to read misses some, and holds nothing up.
        let (stream, page) = AsyncStream.makeStream(
            of: String.self, bufferingPolicy: .bufferingNewest(1))
        page.onTermination = { [weak self] _ in
            // Called from anywhere, the end of a connection included.
            Task { await self?.unsubscribe(id) }
        }
        pages[id] = page
        if let last, task != nil { page.yield(last) }
        if task == nil { task = Task { [weak self] in await self?.run() } }
        return stream
    }

    private func unsubscribe(_ id: UUID) {
        pages[id] = nil
        guard pages.isEmpty else { return }
        task?.cancel()
        task = nil
    }

    private func run() async {
        while !Task.isCancelled {
            let seen = await seeing()
            guard !Task.isCancelled else { return }
            for page in pages.values { page.yield(seen) }
            try? await ContinuousClock().sleep(for: Self.interval)
        }
    }
}
