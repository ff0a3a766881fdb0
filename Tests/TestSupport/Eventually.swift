/// Something that a test waited for and that did not come about.
package struct NotInTime: Error, CustomStringConvertible {
    let expected: String
    let limit: Duration

    package var description: String { "expected within \(limit) that \(expected)" }
}

/// Looks at the state of another process again and again, the only way to wait for it.
///
/// - Throws: `NotInTime`, or what `condition` throws.
package func eventually(
    _ expected: String, within limit: Duration = .seconds(240),
    _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while try await !condition() {
        guard clock.now < deadline else { throw NotInTime(expected: expected, limit: limit) }
        try await clock.sleep(for: .milliseconds(5))
    }
}
