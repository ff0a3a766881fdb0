import Postgres

extension QueueClient {
    /// Finished documents in the order of their completion, from behind `key` on; see
    /// `l2s.completed`.
    ///
    /// - Parameters:
    ///   - key: of the last result seen; nil from the first on.
    ///   - group: nil for all documents.
    package func completed(
        after key: String?, group: String?, limit: Int = 1000
    ) async throws -> [CompletedDocument] {
        try await connection.query(
            "SELECT * FROM l2s.completed($1, $2, $3)", [.text(key), .text(group), .int(limit)]
        ).map(CompletedDocument.init)
    }

    /// The results of these documents, by id; those that are not finished are left out.
    package func results(_ ids: [Int64]) async throws -> [CompletedDocument] {
        try await connection.query(
            """
            SELECT id, job_type, state, output, error, tokens_in, tokens_out, cut_off
            FROM l2s.jobs WHERE id = ANY ($1) AND finished_at IS NOT NULL ORDER BY id
            """, [.ints(ids)]
        ).map(CompletedDocument.init)
    }

    /// Whether a group has nothing left to do, and `completed` shows all of it.
    package func isCompleted(group: String) async throws -> Bool {
        try await connection.query(
            """
            SELECT NOT EXISTS (
                SELECT FROM l2s.queue q WHERE q.group_id = ANY (l2s.group_ids($1)))
            AND NOT EXISTS (
                SELECT FROM l2s.result r WHERE r.group_id = ANY (l2s.group_ids($1))
                  AND r.written_in >= (SELECT (c.epoch::bigint << 42) FROM l2s.cluster c)
                      + pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
            """, [.text(group)]
        ).single()
    }
}

package struct CompletedDocument: Sendable, Encodable {
    /// To go on behind this one; nil when asked for by id.
    package let key: String?
    package let id: Int64
    package let jobType: String
    /// succeeded, failed or cancelled
    package let state: String
    package let output: String?
    package let error: String?
    package let tokensIn: Int?
    package let tokensOut: Int?
    /// Parts of the output that stop at limits.new_tokens; nil for one that did not succeed.
    package let cutOff: Int?

    init(_ row: Row) throws {
        key = try? row.value("key")
        id = try row.value("id")
        jobType = try row.value("job_type")
        state = try row.value("state")
        output = try row.optional("output")
        error = try row.optional("error")
        tokensIn = try row.optional("tokens_in")
        tokensOut = try row.optional("tokens_out")
        cutOff = try row.optional("cut_off")
    }
}
