import Postgres

extension QueueClient {
    /// The next finished documents after `key`, in the order of their completion; see
    /// `l2s.completed`.
    ///
    /// - Parameters:
    ///   - key: the key of the last result seen; nil to begin with the first one.
    ///   - group: nil for all documents.
    package func completed(
        after key: String?, group: String?, limit: Int = 1000
    ) async throws -> [CompletedDocument] {
        try await connection.query(
            "SELECT * FROM l2s.completed($1, $2, $3)", [.text(key), .text(group), .int(limit)]
        ).map(CompletedDocument.init)
    }

    /// The results of these documents, in the order of ids. Unfinished documents are left out.
    package func results(_ ids: [Int64]) async throws -> [CompletedDocument] {
        try await connection.query(
            """
            SELECT id, job_type, state, output, error, tokens_in, tokens_out, cut_off
            FROM l2s.jobs WHERE id = ANY ($1) AND finished_at IS NOT NULL ORDER BY id
            """, [.ints(ids)]
        ).map(CompletedDocument.init)
    }

    /// How far a group is.
    package enum Completion: Sendable {
        case unfinished
        /// All documents are finished, but `completed` does not show all of them yet: a transaction is
        /// open that is older than the writing of their results.
        case heldBack
        /// All documents are finished, and `completed` shows them.
        case shown
    }

    package func completion(ofGroup group: String) async throws -> Completion {
        let row = try await connection.query(
            """
            SELECT
                EXISTS (
                    SELECT FROM l2s.queue q WHERE q.group_id = ANY (l2s.group_ids($1))) AS is_unfinished,
                EXISTS (
                    SELECT FROM l2s.result r WHERE r.group_id = ANY (l2s.group_ids($1))
                      AND r.written_in >= (SELECT (c.epoch::bigint << 42) FROM l2s.cluster c)
                          + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS is_held_back
            """, [.text(group)])[0]
        guard try !row.value("is_unfinished") else { return .unfinished }
        return try row.value("is_held_back") ? .heldBack : .shown
    }
}

package struct CompletedDocument: Sendable, Encodable {
    /// The key with which to go on after this document; nil if it was asked for by id.
    package let key: String?
    package let id: Int64
    package let jobType: String
    /// succeeded, failed or cancelled
    package let state: String
    package let output: String?
    package let error: String?
    package let tokensIn: Int?
    package let tokensOut: Int?
    /// Parts whose output was cut off at `limits.new_tokens`; nil for a document that did not
    /// succeed.
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
