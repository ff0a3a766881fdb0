import Postgres

extension QueueClient {
    /// A plan for each job type: how many documents are not finished, and how fast such documents
    /// were processed lately. Limited to a job type, to a group, or to a job type within a group.
    ///
    /// - Parameter by: a time in a form that PostgreSQL reads.
    /// - Returns: nothing for an unknown job type. For a group, only job types with unfinished
    ///   documents.
    package func plans(jobType: String?, group: String?, by: String?) async throws -> [WorkPlan] {
        let rows = try await connection.query(
            """
            SELECT
                t.name, t.paused OR (SELECT s.paused FROM l2s.setting s) AS paused, q.documents,
                q.tokens, q.delayed, q.delayed_s, q.late, r.documents AS done,
                r.tokens AS done_tokens, r.seconds,
                extract(epoch FROM $3::timestamptz - clock_timestamp()) AS left_s,
                (SELECT count(*) FROM l2s.worker w
                 WHERE w.stopped_at IS NULL AND NOT w.draining
                   AND w.seen_at > clock_timestamp() - interval '1 minute') AS workers
            FROM l2s.job_type t
            CROSS JOIN LATERAL (
                SELECT
                    count(*) AS documents, coalesce(sum(u.tokens), 0) AS tokens,
                    count(*) FILTER (WHERE u.state = 2) AS delayed,
                    extract(epoch FROM
                        max(u.run_at) FILTER (WHERE u.state = 2 AND isfinite(u.run_at))
                            - clock_timestamp()) AS delayed_s,
                    count(*) FILTER (WHERE u.state = 2 AND u.run_at > $3) AS late
                FROM l2s.queue u
                WHERE u.job_type = t.id
                  AND ($2::text IS NULL OR u.group_id = ANY (l2s.group_ids($2)))) AS q
            CROSS JOIN LATERAL (
                -- Tokens are estimated in the same way as those of waiting documents. The seconds
                -- begin with the first claim, so that time without work does not count.
                SELECT
                    count(*) AS documents,
                    coalesce(sum(octet_length(l2s.text_of(d)) / 4 + 1), 0) AS tokens,
                    extract(epoch FROM max(s.finished_at)
                        - greatest(min(s.claimed_at), statement_timestamp() - interval '5 minutes')
                    ) AS seconds
                FROM l2s.result s JOIN l2s.document d ON d.id = s.document_id
                WHERE s.job_type = t.id AND NOT s.cancelled
                  AND s.finished_at > statement_timestamp() - interval '5 minutes') AS r
            WHERE ($1::text IS NULL OR t.name = $1) AND ($2::text IS NULL OR q.documents > 0)
            ORDER BY t.name
            """, [.text(jobType), .text(group), .text(by)])
        return try rows.map(WorkPlan.init)
    }
}

/// When a job type will be done. The rates are those of all workers together, for this type, in the
/// last five minutes, whatever else the workers did.
package struct WorkPlan: Sendable, Encodable {
    package let jobType: String
    package let paused: Bool
    package let workers: Int
    /// Documents that are not finished, delayed ones included.
    package let documents: Int
    package let delayed: Int
    /// Tokens of these documents, estimated as bytes / 4.
    package let tokens: Int
    /// Nil if no document of the type finished lately.
    package let documentsPerS: Double?
    package let tokensPerS: Double?
    /// Seconds until all documents are done if the rate stays the same. It is at least the time
    /// until the last delayed document becomes ready.
    package let doneInS: Double?
    /// Seconds until the time that was asked for; negative if it is over.
    package let leftS: Double?
    /// How many of the documents will be done by that time.
    package let doneByThen: Int?

    fileprivate init(_ row: Row) throws {
        jobType = try row.value("name")
        paused = try row.value("paused")
        workers = try row.value("workers")
        documents = try row.value("documents")
        delayed = try row.value("delayed")
        tokens = try row.value("tokens")
        leftS = try row.optional("left_s")
        let done: Int = try row.value("done")
        let doneTokens: Int = try row.value("done_tokens")
        guard done > 0, let seconds: Double = try row.optional("seconds"), seconds > 0 else {
            (documentsPerS, tokensPerS, doneByThen) = (nil, nil, nil)
            doneInS = documents == 0 ? 0 : nil
            return
        }
        documentsPerS = Double(done) / seconds
        let rate = Double(doneTokens) / seconds
        tokensPerS = rate
        let duration = Double(tokens) / rate
        doneInS = max(duration, try row.optional("delayed_s") ?? 0)
        // Documents that become ready only after that time are not done by then.
        let (all, late): (Int, Int) = (documents, try row.value("late"))
        doneByThen = leftS.map { left in
            if left <= 0 { return 0 }
            return min(all - late, duration <= left ? all : Int(Double(all) * left / duration))
        }
    }
}
