internal import Foundation
internal import Postgres
internal import PostgresJobs

/// What the page shows, as JSON: an `Overview`, or `{"error": …}`.
struct Dashboard: Sendable {
    private let watch: QueueWatch

    /// The page has a connection of its own.
    init(_ settings: ConnectionSettings) {
        var settings = settings
        settings.applicationName += " page"
        // A page that reports a timeout is better than one that keeps the server busy.
        settings.statementTimeout = .seconds(5)
        watch = QueueWatch(DatabaseConnection(settings))
    }

    func look() async -> String {
        do {
            return try json(await watch.look())
        } catch DatabaseError.unreachable {
            // Readers of the page need not see the server's address and the user's name.
            return error("cannot connect to PostgreSQL; l2s doctor says why")
        } catch {
            // Names what the database was asked and why it failed, never a document's text.
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
