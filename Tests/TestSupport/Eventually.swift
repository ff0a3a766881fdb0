/// A condition that a test waited for and that did not come true.
package struct NotInTime: Error, CustomStringConvertible {
    let expected: String
    let limit: Duration

    package var description: String { "expected within \(limit) that \(expected)" }
}

/// Looks at the state of another process again and again, which is the only way to wait for it.
///
/// A look and the pause after it count as a second at most, so that a test does not fail because
/// the machine stood still or gave this process no time.
///
/// - Throws: `NotInTime`, or what `condition` throws.
package func eventually(
    _ expected: String, within limit: Duration = .seconds(240),
    _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    var waited = Duration.zero
    var last = clock.now
    while try await !condition() {
        guard waited < limit else { throw NotInTime(expected: expected, limit: limit) }
        try await clock.sleep(for: .milliseconds(5))
        waited += min(last.duration(to: clock.now), .seconds(1))
        last = clock.now
    }
}
