/// The monotonic clock, or a test's.
package struct TimeSource: Sendable {
    package typealias Instant = ContinuousClock.Instant

    package let now: @Sendable () -> Instant
    /// Throws when the task is cancelled.
    package let sleep: @Sendable (_ until: Instant) async throws -> Void

    package init(
        now: @escaping @Sendable () -> Instant,
        sleep: @escaping @Sendable (_ until: Instant) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }

    package static let system = TimeSource(
        now: { ContinuousClock.now }, sleep: { try await ContinuousClock().sleep(until: $0) })

    func sleep(for duration: Duration) async throws {
        try await sleep(now() + duration)
    }
}
