internal import Foundation
internal import Postgres
internal import PostgresJobs

/// What the page shows, as JSON: an `Overview`, or `{"error": …}`.
struct Dashboard: Sendable {
    private let watch: QueueWatch

    /// Over a connection of its own.
    init(_ settings: ConnectionSettings) {
        var settings = settings
        settings.applicationName += " page"
        // The page may say that it is too slow; it must not keep the server busy.
        settings.statementTimeout = .seconds(5)
        watch = QueueWatch(DatabaseConnection(settings))
    }

    func look() async -> String {
        do {
            return try json(await watch.look())
        } catch DatabaseError.unreachable {
            // Where and as whom it connects concerns no reader of the page.
            return error("cannot connect to PostgreSQL; l2s doctor says why")
        } catch {
            // Of the database: what it was asked and why it did not answer, never a text.
            return self.error("\(error)")
        }
    }

    private func error(_ words: String) -> String { (try? json(["error": words])) ?? "{}" }

    private func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
