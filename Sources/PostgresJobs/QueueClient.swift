package import Postgres

/// The queue for the commands of `l2s`: it enqueues and controls jobs and reports on them.
package struct QueueClient: Sendable {
    package let connection: DatabaseConnection

    /// - Parameter connection: an open connection, whose schema was checked.
    package init(_ connection: DatabaseConnection) {
        self.connection = connection
    }

    /// Enqueues documents, all or none. Returns the ids of the jobs in the order of the documents,
    /// and for each document in the order of its job types. This is one statement, so call it with
    /// at most some thousands of documents.
    package func enqueue(_ jobs: [NewJob]) async throws -> [Int64] {
        let rows = try await connection.query(
            """
            SELECT unnest(l2s.enqueue(
                       ARRAY(SELECT json_array_elements_text(j.job_types::json)), j.document,
                       j.priority, coalesce(j.run_at, now()), j.dedupe_key, j.metadata,
                       "group" => j.batch, tenant => j.tenant)) AS id
            FROM unnest($1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::text[],
                        $6::jsonb[], $7::text[], $8::text[])
                 WITH ORDINALITY
                 AS j(job_types, document, priority, run_at, dedupe_key, metadata, batch, tenant,
                      number)
            ORDER BY j.number
            """,
            [
                .texts(jobs.map { JSONText.array($0.jobTypes.map(JSONText.string)) }),
                .texts(jobs.map(\.document)),
                .ints(jobs.map { Int64($0.priority) }), .texts(jobs.map(\.runAt)),
                .texts(jobs.map(\.dedupeKey)), .texts(jobs.map(\.metadata)),
                .texts(jobs.map(\.group)), .texts(jobs.map(\.tenant)),
            ])
        return try rows.map { try $0.value("id") }
    }
}

/// A document to be enqueued; see `l2s.enqueue`.
package struct NewJob: Sendable {
    /// Each of them becomes a job.
    package var jobTypes: [String]
    package var document: String
    /// Jobs with a greater priority are claimed first.
    package var priority = 0
    /// A time in a form that PostgreSQL reads, such as `2026-11-23 18:00+01` or `tomorrow`. Nil for
    /// now.
    package var runAt: String?
    package var dedupeKey: String?
    /// A text in JSON; nil for none.
    package var metadata: String?
    package var group: String?
    package var tenant: String?

    package init(jobTypes: [String], document: String) {
        self.jobTypes = jobTypes
        self.document = document
    }
}
