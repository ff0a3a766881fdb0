internal import Foundation
internal import Postgres
internal import PostgresJobs

/// What the page shows, as JSON: an `Overview` with the points of an hour, or `{"error": …}`.
///
/// On a connection of its own, opened with the first page and again after it broke.
actor Dashboard {
    private let connection: DatabaseConnection
    private var points: [Int: Overview.Point] = [:]

    init(_ settings: ConnectionSettings) {
        var settings = settings
        // The page may say that it is too slow; it must not keep the server busy.
        settings.statementTimeout = .seconds(5)
        connection = DatabaseConnection(settings)
    }

    func look() async -> String {
        do {
            try await connection.connect()
            // The newest ten seconds may still grow, and those before by a clock that was read late.
            let since = points.keys.max().map { $0 - Overview.Point.seconds }
            let seen = try await JobDesk(connection).overview(since: since)
            for point in seen.points { points[point.time] = point }
            points = points.filter { Double($0.key) > seen.time - 3600 }
            return try json(Page(overview: seen, hour: points.values.sorted { $0.time < $1.time }))
        } catch {
            // Of the database: what it was asked and why it did not answer, never a text.
            return (try? json(["error": "\(error)"])) ?? "{}"
        }
    }

    private struct Page: Encodable {
        let overview: Overview
        let hour: [Overview.Point]
    }

    private func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
