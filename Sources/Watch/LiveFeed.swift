internal import Foundation
internal import NIOCore

/// Looks at the queue for all open pages together, and only while one is open.
package actor LiveFeed {
    /// Pages that may be open at a time, since each costs the worker a connection.
    static let maximumPages = 100
    private static let interval = Duration.seconds(2)

    private let look: @Sendable () async -> String
    private let clock = ContinuousClock()
    private var pages: [UUID: AsyncStream<ByteBuffer>.Continuation] = [:]
    private var last: (text: String, event: ByteBuffer, at: ContinuousClock.Instant)?
    private var task: Task<Void, Never>?
    /// The look under way. Everyone who asks meanwhile shares it.
    private var looking: Task<(text: String, event: ByteBuffer), Never>?

    /// - Parameter look: returns one line of JSON, which reports failures, too.
    package init(look: @escaping @Sendable () async -> String) {
        self.look = look
    }

    /// One line of JSON that is at most twice the interval old.
    func latest() async -> String {
        if let last, last.at.duration(to: clock.now) < Self.interval * 2 { return last.text }
        return await seeing().text
    }

    private func seeing() async -> (text: String, event: ByteBuffer) {
        if let looking { return await looking.value }
        let task = Task { [look] in
            let text = await look()
            // Written once, in memory that all pages share.
            return (text: text, event: ByteBuffer(string: "data: \(text)\n\n"))
        }
        looking = task
        let seen = await task.value
        looking = nil
        last = (seen.text, seen.event, clock.now)
        return seen
    }

    /// Server-sent events from now on, beginning with the latest one. Nil when too many pages are open.
    func subscribe() -> AsyncStream<ByteBuffer>? {
        guard pages.count < Self.maximumPages else { return nil }
        let id = UUID()
        // A page that is slow to read misses some events, and delays nobody.
        let (stream, page) = AsyncStream.makeStream(
            of: ByteBuffer.self, bufferingPolicy: .bufferingNewest(1))
        page.onTermination = { [weak self] _ in
            // Called from anywhere, the end of a connection included.
            Task { await self?.unsubscribe(id) }
        }
        pages[id] = page
        if let last, task != nil { page.yield(last.event) }
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
            let start = clock.now
            let seen = await seeing()
            guard !Task.isCancelled else { return }
            for page in pages.values { page.yield(seen.event) }
            // Counting a long queue takes long; this spends at most a tenth of the time on it.
            let pause = max(Self.interval, start.duration(to: clock.now) * 9)
            try? await clock.sleep(for: pause)
        }
    }
}
