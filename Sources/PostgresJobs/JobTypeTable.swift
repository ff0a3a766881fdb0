package import Jobs
package import Postgres

/// Table `l2s.job_type`: what the database needs to know about job types.
package enum JobTypeTable {
    /// Adds and updates job types. Types that are not in `jobTypes` stay as they are.
    package static func write(
        _ jobTypes: [JobType], _ connection: DatabaseConnection
    ) async throws {
        let definitions = JSONText.array(
            jobTypes.map { type in
                .object([
                    ("name", .string(type.name)), ("encoder", .string(type.encoder)),
                    ("mode", .string(type.mode.rawValue)),
                    ("llm", .string(type.llm)), ("slm", .string(type.slm)),
                    ("prompt_fields", .strings(type.fields)),
                    ("document_bytes", .int(type.limits.documentBytes)),
                    ("maximum_attempts", .int(type.retry.maximumAttempts)),
                    ("backoff", .seconds(type.retry.backoff)),
                    ("maximum_backoff", .seconds(type.retry.maximumBackoff)),
                    (
                        "concurrent_documents",
                        type.limits.concurrentDocuments.map { .int($0) } ?? .null
                    ),
                ])
            })
        try await connection.query("SELECT l2s.sync_job_types($1)", [.text(definitions)])
    }
}
