import Postgres

extension QueueClient {
    /// What happened to a document so far; nil if there is none with this id.
    package func trace(_ id: Int64) async throws -> DocumentTrace? {
        let rows = try await connection.query(
            """
            SELECT
                j.id, j.job_type, j.state, j.priority, j.attempt, j.error,
                extract(epoch FROM j.enqueued_at) AS enqueued,
                extract(epoch FROM d.run_at) AS run_at,
                extract(epoch FROM j.run_at) AS next_run_at,
                extract(epoch FROM j.claimed_at) AS claimed,
                extract(epoch FROM j.finished_at) AS finished,
                octet_length(l2s.text_of(d)) AS bytes, coalesce(q.claims, 0) AS claims,
                j.worker, j.batch_size, j.encode_source, j.siblings, j.parts, j.truncated,
                j.cut_off, j.tokens_in, j.tokens_out,
                substring(
                    j.metadata ->> 'traceparent'
                    FROM '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}') AS traceparent,
                j.queue_ms, j.tokenize_ms, j.batch_wait_ms, j.encode_ms, j.handoff_ms, j.decode_ms,
                j.writeback_ms
            FROM l2s.jobs j
            JOIN l2s.document d ON d.id = j.id
            LEFT JOIN l2s.queue q ON q.document_id = j.id
            WHERE j.id = $1
            """, [.int(id)])
        guard let row = rows.first else { return nil }
        let attempts = try await connection.query(
            """
            SELECT
                e.attempt, e.kind, e.reason, extract(epoch FROM e.failed_at) AS failed,
                extract(epoch FROM coalesce(e.claimed_at, b.claimed_at, l.claimed_at)) AS claimed,
                w.host || ':' || w.pid AS worker
            FROM l2s.attempt_error e
            LEFT JOIN l2s.batch b ON b.lease_id = e.lease_id
            LEFT JOIN l2s.lease l ON l.id = e.lease_id
            LEFT JOIN l2s.worker w ON w.id = e.worker_id
            WHERE e.document_id = $1 ORDER BY e.attempt
            """, [.int(id)])
        return try DocumentTrace(row, errors: attempts)
    }
}

/// What happened to one document, oldest event first. It holds no text of the document.
package struct DocumentTrace: Sendable, Encodable {
    package struct Event: Sendable, Encodable {
        /// Seconds since 1970. For a stage, the time of its start.
        package let at: Double
        /// A stage such as `encode`, or an event such as `claimed`.
        package let name: String
        /// How long a stage took.
        package var milliseconds: Double?
        package var attempt: Int?
        package var worker: String?
        package var detail: String?
    }

    package let id: Int64
    package let jobType: String
    package let state: String
    package let attempt: Int
    /// The trace context that was given at enqueue; nil if it is not valid.
    /// <https://www.w3.org/TR/trace-context/>
    package let traceparent: String?
    /// The jobs of the same text, this one included; nil if there is no other.
    package let siblings: [Int64]?
    package private(set) var events: [Event] = []

    fileprivate init(_ row: Row, errors: Rows) throws {
        id = try row.value("id")
        jobType = try row.value("job_type")
        state = try row.value("state")
        attempt = try row.value("attempt")
        traceparent = try row.optional("traceparent")
        siblings = try row.optional("siblings")
        let enqueued: Double = try row.value("enqueued")
        let bytes: Int = try row.value("bytes")
        events.append(
            Event(
                at: enqueued, name: "enqueued",
                detail: "priority \(try row.value("priority", as: Int.self)), \(bytes) bytes"))
        let runAt: Double = try row.value("run_at")
        if runAt > enqueued + 1 { events.append(Event(at: runAt, name: "ready")) }
        for error in errors { try add(error) }
        switch state {
        case "succeeded", "failed", "cancelled": try addEnd(row)
        case "running", "cancelling":
            events.append(
                Event(
                    at: try row.value("claimed"), name: "claimed", attempt: attempt,
                    worker: try row.optional("worker")))
        default:
            let claims: Int = try row.value("claims")
            events.append(
                Event(
                    at: try row.value("next_run_at"), name: state,
                    detail: state == "delayed" ? "until then" : "claimed \(claims) times before"))
        }
        events = events.enumerated()
            .sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
    }

    /// Adds the events of an attempt that failed.
    private mutating func add(_ error: Row) throws {
        let attempt: Int = try error.value("attempt")
        let worker: String? = try error.optional("worker")
        if let claimed: Double = try error.optional("claimed") {
            events.append(Event(at: claimed, name: "claimed", attempt: attempt, worker: worker))
        }
        events.append(
            Event(
                at: try error.value("failed"), name: try error.value("kind"), attempt: attempt,
                detail: try error.value("reason")))
    }

    private mutating func addEnd(_ row: Row) throws {
        let finished: Double = try row.value("finished")
        guard let claimed: Double = try row.optional("claimed") else {
            events.append(Event(at: finished, name: state))
            return
        }
        if !events.contains(where: { $0.name == "claimed" && $0.at == claimed }) {
            events.append(
                Event(
                    at: claimed, name: "claimed", attempt: attempt,
                    worker: try row.optional("worker"),
                    detail: "after \(words(ms: try row.value("queue_ms"))) in the queue"))
        }
        let batch = try row.optional("batch_size", as: Int.self) ?? 0
        let source = try row.optional("encode_source", as: String.self)
        let reading =
            switch source {
            case "shared": "shared the reading of another document"
            case "cache": "from the prompt cache"
            default: batch > 0 ? "in a pass of \(batch)" : nil as String?
            }
        let parts = try row.optional("parts", as: Int.self) ?? 1
        let details = [
            "tokenize": [
                try row.optional("tokens_in", as: Int.self).map { "\($0) tokens" },
                parts > 1 ? "\(parts) parts" : nil,
                try row.optional("truncated") == true ? "truncated" : nil,
            ],
            "encode": [reading],
            "decode": [
                try row.optional("tokens_out", as: Int.self).map { "\($0) tokens" },
                (try row.optional("cut_off", as: Int.self) ?? 0) > 0
                    ? "cut off at limits.new_tokens" : nil,
            ],
        ].mapValues { $0.compactMap(\.self).joined(separator: ", ") }
        var at = claimed
        for name in Overview.stageNames.dropFirst() {
            guard let milliseconds: Double = try row.optional("\(name)_ms"),
                milliseconds > 0 || state == "succeeded"
            else { continue }
            events.append(
                Event(
                    at: at, name: name, milliseconds: milliseconds, attempt: attempt,
                    detail: details[name]))
            at += milliseconds / 1000
        }
        events.append(
            Event(
                at: max(at, finished), name: state == "failed" ? "dead letter" : state,
                attempt: attempt, detail: state == "failed" ? try row.optional("error") : nil))
    }
}

private func words(ms milliseconds: Double) -> String {
    milliseconds < 1000
        ? "\(Int(milliseconds.rounded())) ms" : "\((milliseconds / 100).rounded() / 10) s"
}
