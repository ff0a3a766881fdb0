import Postgres

extension QueueClient {
    /// Which outputs are taken as labels. PostgreSQL parses the times.
    package struct LabelSelection: Sendable {
        package var jobType: String
        package var group: String?
        /// Finished at or after this time.
        package var since: String?
        /// Finished before this time.
        package var until: String?

        package init(jobType: String, group: String?, since: String?, until: String?) {
            self.jobType = jobType
            self.group = group
            self.since = since
            self.until = until
        }
    }

    /// A document and the output that the LLM wrote of it.
    package struct Label: Sendable {
        package let document: String
        package let output: String
        package let truncated: Bool
        package let parts: Int
        /// Whether the output was cut off at `limits.new_tokens`.
        package let isCutOff: Bool
    }

    /// The most rows of one statement, so that any number of labels needs little memory.
    private static let labelsPerStatement = 1000

    /// Hands every succeeded document that an LLM wrote to `take`, in order of their ids.
    ///
    /// - Throws: `DatabaseError`, and what `take` throws.
    package func labels(
        _ selection: LabelSelection, take: (Label) throws -> Void
    ) async throws {
        var last: Int64 = 0
        while true {
            let rows = try await connection.query(
                """
                SELECT j.id, l2s.text_of(d) AS body, j.output, coalesce(j.truncated, false) AS truncated,
                       coalesce(j.parts, 1) AS parts, coalesce(j.cut_off, 0) > 0 AS is_cut_off
                FROM l2s.jobs j JOIN l2s.document d ON d.id = j.id
                WHERE d.id > $1 AND j.job_type = $2 AND j.state = 'succeeded' AND j.mode = 'llm'
                  AND ($3::timestamptz IS NULL OR j.finished_at >= $3::timestamptz)
                  AND ($4::timestamptz IS NULL OR j.finished_at < $4::timestamptz)
                  AND ($5::text IS NULL OR d.group_id = ANY (l2s.group_ids($5)))
                ORDER BY d.id LIMIT $6
                """,
                [
                    .int(last), .text(selection.jobType), .text(selection.since),
                    .text(selection.until), .text(selection.group),
                    .int(Self.labelsPerStatement),
                ])
            for row in rows {
                last = try row.value("id")
                try take(
                    Label(
                        document: row.value("body"), output: row.value("output"),
                        truncated: row.value("truncated"), parts: row.value("parts"),
                        isCutOff: row.value("is_cut_off")))
            }
            if rows.count < Self.labelsPerStatement { return }
        }
    }
}
