import Jobs
import Postgres

extension QueueClient {
    /// The queue and its workers now. It does not look at old results, so it costs about as much as
    /// counting the queue.
    ///
    /// Times are compared with `statement_timestamp()`. PostgreSQL uses no index for a comparison
    /// with `clock_timestamp()`, which may change from row to row.
    ///
    /// - Parameter since: the points begin at this second since 1970; nil for the last hour.
    func overview(groups: [Overview.Group], since: Int?) async throws -> Overview {
        let time: Double = try await connection.query(
            "SELECT extract(epoch FROM clock_timestamp())"
        ).single()
        let start = since ?? (Int(time) - 3600) / Overview.Point.seconds * Overview.Point.seconds
        let dead: Int = try await connection.query(
            """
            SELECT count(*) FROM l2s.result
            WHERE NOT succeeded AND NOT cancelled
              AND finished_at > statement_timestamp() - interval '1 day'
            """
        ).single()
        let minute = try await connection.query(
            """
            SELECT
                coalesce(sum(tokens_in + tokens_out), 0) AS tokens,
                extract(epoch FROM statement_timestamp() - greatest(
                    min(claimed_at), statement_timestamp() - interval '1 minute')) AS rate_s
            FROM l2s.result
            WHERE NOT cancelled AND finished_at > statement_timestamp() - interval '1 minute'
            """
        ).first
        return Overview(
            time: time, rateS: max(try minute?.value("rate_s") ?? 60, 1),
            tokens: try minute?.value("tokens") ?? 0, queues: try await queues(),
            groups: groups, workers: try await loads(),
            points: try await points(since: start), stages: try await stages(),
            recent: try await recent(), deadLetters: try await deadLetters(),
            dead: dead)
    }

    private func queues() async throws -> [Overview.Queue] {
        let rows = try await connection.query(
            """
            SELECT
                t.name, t.paused OR (SELECT s.paused FROM l2s.setting s) AS paused,
                coalesce(q.waiting, 0) AS waiting, coalesce(q.delayed, 0) AS delayed,
                coalesce(q.running, 0) AS running, coalesce(q.cancelling, 0) AS cancelling,
                coalesce(q.tokens, 0) AS tokens, q.oldest, coalesce(r.finished, 0) AS finished,
                coalesce(r.failed, 0) AS failed, coalesce(r.cancelled, 0) AS cancelled
            FROM l2s.job_type t
            LEFT JOIN (
                SELECT
                    job_type,
                    count(*) FILTER (WHERE state = 0) AS waiting,
                    count(*) FILTER (WHERE state = 1) AS running,
                    count(*) FILTER (WHERE state = 2) AS delayed,
                    count(*) FILTER (WHERE cancelled) AS cancelling,
                    sum(tokens) FILTER (WHERE state = 0) AS tokens,
                    extract(epoch FROM clock_timestamp()
                        - min(run_at) FILTER (WHERE state = 0)) AS oldest
                FROM l2s.queue GROUP BY job_type) AS q ON q.job_type = t.id
            LEFT JOIN (
                SELECT
                    job_type, count(*) FILTER (WHERE NOT cancelled) AS finished,
                    count(*) FILTER (WHERE NOT succeeded AND NOT cancelled) AS failed,
                    count(*) FILTER (WHERE cancelled) AS cancelled
                FROM l2s.result WHERE finished_at > statement_timestamp() - interval '1 minute'
                GROUP BY job_type) AS r ON r.job_type = t.id
            ORDER BY t.name
            """)
        return try rows.map { row in
            Overview.Queue(
                name: try row.value("name"), paused: try row.value("paused"),
                waiting: try row.value("waiting"), delayed: try row.value("delayed"),
                running: try row.value("running"), cancelling: try row.value("cancelling"),
                tokensWaiting: try row.value("tokens"),
                oldestWaitingS: try row.optional("oldest"),
                finished: try row.value("finished"), failed: try row.value("failed"),
                cancelled: try row.value("cancelled"))
        }
    }

    /// The groups that are not finished, or the last begun of them if there are many. It costs
    /// about as much as counting all their finished documents.
    func openGroups() async throws -> [Overview.Group] {
        let rows = try await connection.query(
            "SELECT * FROM l2s.open_groups($1)", [.int(Overview.mostGroups)])
        return try rows.map { row in
            Overview.Group(
                name: try row.value("name"), waiting: try row.value("waiting"),
                delayed: try row.value("delayed"), running: try row.value("running"),
                succeeded: try row.optional("succeeded"), failed: try row.optional("failed"),
                cancelled: try row.optional("cancelled"), finished: try row.value("lately"))
        }
    }

    private func loads() async throws -> [Overview.Worker] {
        let rows = try await connection.query(
            """
            SELECT
                w.id, w.host || ':' || w.pid AS name, w.version, w.idle, w.draining,
                extract(epoch FROM clock_timestamp() - w.seen_at) AS silent_s,
                (SELECT coalesce(sum(coalesce(cardinality(l.held), l.documents)), 0)
                 FROM l2s.lease l WHERE l.worker_id = w.id) AS held,
                coalesce(r.finished, 0) AS finished, w.load IS NOT NULL AS is_loaded, load.*
            FROM l2s.worker w
            CROSS JOIN LATERAL jsonb_to_record(coalesce(w.load, '{}')) AS load(
                lanes integer, lanes_busy double precision, documents integer, prepared integer,
                handoff integer, handoff_capacity integer, decoding integer,
                batch_fill double precision)
            LEFT JOIN (
                SELECT worker_id, count(*) AS finished FROM l2s.result
                WHERE NOT cancelled AND finished_at > statement_timestamp() - interval '1 minute'
                GROUP BY worker_id) AS r ON r.worker_id = w.id
            WHERE w.stopped_at IS NULL AND w.seen_at > clock_timestamp() - interval '1 minute'
            ORDER BY w.id
            """)
        return try rows.map { row in
            Overview.Worker(
                id: try row.value("id"), name: try row.value("name"),
                version: try row.value("version"), idle: try row.value("idle"),
                draining: try row.value("draining"), silentS: try row.value("silent_s"),
                documents: try row.value("held"), finished: try row.value("finished"),
                load: try row.value("is_loaded") ? WorkerLoad(row) : nil)
        }
    }

    private func points(since start: Int) async throws -> [Overview.Point] {
        let rows = try await connection.query(
            """
            SELECT
                floor(extract(epoch FROM finished_at) / $2)::bigint * $2 AS time,
                count(*) AS documents, count(*) FILTER (WHERE NOT succeeded) AS failed,
                coalesce(sum(tokens_in + tokens_out), 0) AS tokens
            FROM l2s.result WHERE NOT cancelled AND finished_at >= to_timestamp($1::bigint)
            GROUP BY 1 ORDER BY 1
            """, [.int(start), .int(Overview.Point.seconds)])
        return try rows.map { row in
            Overview.Point(
                time: try row.value("time"), documents: try row.value("documents"),
                failed: try row.value("failed"), tokens: try row.value("tokens"))
        }
    }

    private func stages() async throws -> [Overview.Stage] {
        let middle = Overview.stageNames.map {
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY \($0)_ms) AS \($0)_50, "
                + "percentile_cont(0.95) WITHIN GROUP (ORDER BY \($0)_ms) AS \($0)_95"
        }
        let rows = try await connection.query(
            """
            SELECT \(middle.joined(separator: ", ")) FROM l2s.result
            WHERE succeeded AND finished_at > statement_timestamp() - interval '1 minute'
            """)
        guard let row = rows.first else { return [] }
        return try Overview.stageNames.compactMap { name in
            guard let middle: Double = try row.optional("\(name)_50"),
                let high: Double = try row.optional("\(name)_95")
            else { return nil }
            return Overview.Stage(name: name, p50Ms: middle, p95Ms: high)
        }
    }

    /// The documents that finished last. If none did in the last minute, the finished documents
    /// that were enqueued last.
    private func recent() async throws -> [Overview.Recent] {
        let columns = Overview.stageNames.map { "r.\($0)_ms" }.joined(separator: ", ")
        let select = """
            SELECT
                r.document_id, t.name, r.succeeded, \(columns),
                extract(epoch FROM clock_timestamp() - r.finished_at) AS age_s
            FROM l2s.result r JOIN l2s.job_type t ON t.id = r.job_type
            """
        var rows = try await connection.query(
            """
            \(select) WHERE NOT r.cancelled
              AND r.finished_at > statement_timestamp() - interval '1 minute'
            ORDER BY r.finished_at DESC, r.document_id DESC LIMIT 12
            """)
        if rows.isEmpty {
            rows = try await connection.query(
                "\(select) WHERE NOT r.cancelled ORDER BY r.document_id DESC LIMIT 12")
        }
        return try rows.map { row in
            Overview.Recent(
                id: try row.value("document_id"), jobType: try row.value("name"),
                succeeded: try row.value("succeeded"), ageS: try row.value("age_s"),
                stagesMs: try Overview.stageNames.map { try row.optional("\($0)_ms") })
        }
    }

    private func deadLetters() async throws -> [Overview.DeadLetter] {
        let rows = try await connection.query(
            """
            SELECT
                r.document_id, t.name, r.attempt, left(r.error, 300) AS error,
                extract(epoch FROM clock_timestamp() - r.finished_at) AS age_s
            FROM l2s.result r JOIN l2s.job_type t ON t.id = r.job_type
            WHERE NOT r.succeeded AND NOT r.cancelled
              AND r.finished_at > statement_timestamp() - interval '1 day'
            ORDER BY r.finished_at DESC LIMIT 8
            """)
        return try rows.map { row in
            Overview.DeadLetter(
                id: try row.value("document_id"), jobType: try row.value("name"),
                attempt: try row.value("attempt"), ageS: try row.value("age_s"),
                error: try row.value("error"))
        }
    }
}

extension WorkerLoad {
    /// A value that is missing, because another version wrote the load, becomes 0.
    fileprivate init(_ row: Row) throws {
        self.init()
        lanes = try row.optional("lanes") ?? 0
        lanesBusy = try row.optional("lanes_busy") ?? 0
        documents = try row.optional("documents") ?? 0
        prepared = try row.optional("prepared") ?? 0
        handoff = try row.optional("handoff") ?? 0
        handoffCapacity = try row.optional("handoff_capacity") ?? 0
        decoding = try row.optional("decoding") ?? 0
        batchFill = try row.optional("batch_fill")
    }
}
