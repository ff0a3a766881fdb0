package import Postgres

/// The queue as a person at a control program sees it: hand jobs in, ask how they are.
package struct QueueClient: Sendable {
    package let connection: DatabaseConnection

    /// Over a connection that is open and whose schema was checked.
    package init(_ connection: DatabaseConnection) {
        self.connection = connection
    }

    /// Hands in documents, all or none; returns the jobs' ids in order, a document's in the order of
    /// its job types. One statement: call it with at most some thousands.
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
    /// Each makes a job of its own.
    package var jobTypes: [String]
    package var document: String
    /// Greater is sooner.
    package var priority = 0
    /// As PostgreSQL reads times, such as `2026-11-23 18:00+01` or `tomorrow`. Nil: now.
    package var runAt: String?
    package var dedupeKey: String?
    /// JSON.
    package var metadata: String?
    package var group: String?
    package var tenant: String?

    package init(jobTypes: [String], document: String) {
        self.jobTypes = jobTypes
        self.document = document
    }
}
