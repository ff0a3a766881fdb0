/// The monotonic clock, or a test's.
package struct TimeSource: Sendable {
    package typealias Instant = ContinuousClock.Instant

    package let now: @Sendable () -> Instant
    /// Waits until that time. Throws when the task is cancelled.
    package let pause: @Sendable (_ until: Instant) async throws -> Void

    package init(
        now: @escaping @Sendable () -> Instant,
        pause: @escaping @Sendable (_ until: Instant) async throws -> Void
    ) {
        self.now = now
        self.pause = pause
    }

    package static let system = TimeSource(
        now: { ContinuousClock.now }, pause: { try await ContinuousClock().sleep(until: $0) })

    func pause(for duration: Duration) async throws {
        try await pause(now() + duration)
    }
}
