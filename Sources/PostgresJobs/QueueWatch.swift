package import Postgres

/// Looks at the queue again and again: an hour's points are read once, and then what is new; groups,
/// which may have millions of documents to count, only as often as takes a twentieth of the time.
package actor QueueWatch {
    private let connection: DatabaseConnection
    private let clock = ContinuousClock()
    private var points: [Int: Overview.Point] = [:]
    private var groups: [Overview.Group] = []
    private var groupsAreDue: ContinuousClock.Instant?

    /// - Parameter connection: opened with the first look, and again after it broke.
    package init(_ connection: DatabaseConnection) { self.connection = connection }

    package func look() async throws -> Overview {
        try await connection.connect()
        if groupsAreDue.map({ $0 <= clock.now }) ?? true {
            let duration = try await clock.measure {
                groups = try await QueueClient(connection).openGroups()
            }
            groupsAreDue = clock.now + duration * 20
        }
        // The newest ten seconds may still grow, and those before by a clock that was read late.
        let since = points.keys.max().map { $0 - Overview.Point.seconds }
        var seen = try await QueueClient(connection).overview(groups: groups, since: since)
        for point in seen.points { points[point.time] = point }
        points = points.filter { Double($0.key) > seen.time - 3600 }
        seen.points = points.values.sorted { $0.time < $1.time }
        return seen
    }
}
