package import Postgres

/// Looks at the queue again and again. It reads the points of the last hour once, and then only new
/// ones. Counting a group may take long, because it may have millions of documents, so groups are
/// read only so often that this takes a twentieth of the time.
package actor QueueWatch {
    private let connection: DatabaseConnection
    private let clock = ContinuousClock()
    private var points: [Int: Overview.Point] = [:]
    private var groups: [Overview.Group] = []
    private var groupsAreDue: ContinuousClock.Instant?

    /// - Parameter connection: `look` opens it, also after it broke.
    package init(_ connection: DatabaseConnection) { self.connection = connection }

    package func look() async throws -> Overview {
        try await connection.connect()
        if groupsAreDue.map({ $0 <= clock.now }) ?? true {
            let duration = try await clock.measure {
                groups = try await QueueClient(connection).openGroups()
            }
            groupsAreDue = clock.now + duration * 20
        }
        // The newest point may still grow. So may the one before it, because a time of completion
        // may be older than its commit.
        let since = points.keys.max().map { $0 - Overview.Point.seconds }
        var seen = try await QueueClient(connection).overview(groups: groups, since: since)
        for point in seen.points { points[point.time] = point }
        points = points.filter { Double($0.key) > seen.time - 3600 }
        seen.points = points.values.sorted { $0.time < $1.time }
        return seen
    }
}
