package import Jobs
package import Postgres
internal import PostgresJobs

/// The queue that a worker beside this program serves.
package struct ServedQueue {
    private let connection: DatabaseConnection

    package init(_ connection: DatabaseConnection) { self.connection = connection }

    package func prepare(_ jobTypes: [JobType]) async throws {
        _ = try await SchemaMigrator().migrate(connection)
        try await JobTypeTable.write(jobTypes, connection)
    }

    /// - Parameters:
    ///   - documents: each with the names of the job types whose jobs it gets.
    ///   - check: called now and then; throws when no worker serves the queue any longer.
    /// - Returns: jobs per second, from the first claim to the last result.
    /// - Throws: `FailedDocuments` when one fails.
    package func run(
        _ documents: [(jobTypes: [String], text: String)], check: () throws -> Void
    ) async throws -> Double {
        let names = documents.map { $0.jobTypes.joined(separator: " ") }
        let ids: [Int64] = try await connection.query(
            """
            SELECT unnest(l2s.enqueue(string_to_array(names, ' '), body)) AS id
            FROM unnest($1::text[], $2::text[]) AS source (names, body)
            """, [.texts(names), .texts(documents.map(\.text))]
        ).map { try $0.value("id") }
        let range: [Parameter] = [.int(Int(ids.min() ?? 0)), .int(Int(ids.max() ?? 0))]
        while true {
            try check()
            let count: Int = try await connection.query(
                "SELECT count(*) FROM l2s.result WHERE document_id BETWEEN $1 AND $2", range
            ).single()
            if count == ids.count { break }
            try await Task.sleep(for: .milliseconds(100))
        }
        let failed: Int = try await connection.query(
            """
            SELECT count(*) FROM l2s.result
            WHERE document_id BETWEEN $1 AND $2 AND NOT succeeded
            """, range
        ).single()
        guard failed == 0 else {
            throw FailedDocuments(description: "\(failed) of \(ids.count) documents failed")
        }
        let seconds: Double = try await connection.query(
            """
            SELECT extract(epoch FROM max(finished_at) - min(claimed_at))::double precision
            FROM l2s.result WHERE document_id BETWEEN $1 AND $2
            """, range
        ).single()
        return Double(ids.count) / seconds
    }
}

/// Documents of a benchmark failed, so that its figures would mean nothing.
package struct FailedDocuments: Error, CustomStringConvertible {
    package let description: String
}
