-- 15: what is read: jobs with groups and tenants, every attempt, batches, groups, and results as a
-- stream.

-- Whether the caller may read the documents of all producers.
CREATE FUNCTION l2s.sees_all() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN NOT (SELECT s.producers_apart FROM l2s.setting s) OR EXISTS (
        SELECT FROM pg_roles r
        WHERE (r.rolname = 'l2s_reader'
               OR r.oid = (SELECT c.relowner FROM pg_class c WHERE c.oid = 'l2s.queue'::regclass))
          AND pg_has_role(l2s.caller(), r.oid, 'USAGE'));
END $$;

CREATE VIEW l2s.jobs WITH (security_barrier) AS
SELECT
    d.id,
    t.name AS job_type,
    CASE
        WHEN r.succeeded THEN 'succeeded'
        WHEN r.cancelled THEN 'cancelled'
        WHEN r.document_id IS NOT NULL THEN 'failed'
        WHEN q.state = 0 THEN 'waiting'
        WHEN q.state = 1 AND q.cancelled THEN 'cancelling'
        WHEN q.state = 1 THEN 'running'
        WHEN q.state = 2 THEN 'delayed'
    END AS state,
    coalesce(r.attempt, q.earlier + q.errors + q.crashes + (q.state = 1)::integer) AS attempt,
    d.priority,
    coalesce(q.run_at, d.run_at) AS run_at,
    d.enqueued_at,
    coalesce(r.claimed_at, l.claimed_at) AS claimed_at,
    r.finished_at,
    w.host || ':' || w.pid AS worker,
    r.output,
    coalesce(r.error, last_error.reason) AS error,
    r.tokens_in, r.tokens_out, r.batch_size,
    r.queue_ms, r.tokenize_ms, r.batch_wait_ms, r.encode_ms, r.handoff_ms, r.decode_ms,
    r.writeback_ms,
    r.mode, r.model, r.truncated, r.parts,
    d.metadata,
    g.name AS "group",
    d.tenant
FROM l2s.document d
JOIN l2s.job_type t ON t.id = d.job_type
LEFT JOIN l2s.queue q ON q.document_id = d.id
LEFT JOIN l2s.lease l ON l.id = q.lease_id
LEFT JOIN l2s.result r ON r.document_id = d.id
LEFT JOIN l2s.worker w ON w.id = coalesce(r.worker_id, l.worker_id)
LEFT JOIN l2s.group_run g ON g.id = d.group_id
LEFT JOIN LATERAL (
    SELECT e.reason FROM l2s.attempt_error e
    WHERE e.document_id = d.id AND r.document_id IS NULL
    ORDER BY e.attempt DESC LIMIT 1) AS last_error ON true
WHERE (SELECT l2s.sees_all()) OR d.producer = (SELECT l2s.caller());
COMMENT ON COLUMN l2s.jobs.state IS
    'waiting, delayed (until run_at), running, cancelling, succeeded, failed (for good: see error) or cancelled';

CREATE VIEW l2s.attempts AS
SELECT
    e.document_id AS id, e.attempt, e.kind AS outcome, w.host || ':' || w.pid AS worker,
    e.lease_id AS batch, coalesce(e.claimed_at, b.claimed_at) AS claimed_at, e.failed_at AS ended_at,
    e.reason AS error, e.tokens_in, e.tokens_out, e.batch_size, e.queue_ms, e.tokenize_ms,
    e.batch_wait_ms, e.encode_ms, e.handoff_ms, e.decode_ms, e.writeback_ms, e.mode, e.model
FROM l2s.attempt_error e
LEFT JOIN l2s.batch b ON b.lease_id = e.lease_id
LEFT JOIN l2s.worker w ON w.id = e.worker_id
UNION ALL
SELECT
    r.document_id, r.attempt, CASE WHEN r.cancelled THEN 'cancelled' ELSE 'succeeded' END,
    w.host || ':' || w.pid, r.lease_id, r.claimed_at, r.finished_at, r.error, r.tokens_in,
    r.tokens_out, r.batch_size, r.queue_ms, r.tokenize_ms, r.batch_wait_ms, r.encode_ms,
    r.handoff_ms, r.decode_ms, r.writeback_ms, r.mode, r.model
FROM l2s.result r
LEFT JOIN l2s.worker w ON w.id = r.worker_id
WHERE r.succeeded OR r.cancelled;
COMMENT ON VIEW l2s.attempts IS
'Every attempt that ended: succeeded, failed, rejected (no attempt could succeed), crashed (its worker
was not heard of again) or cancelled, with the time of each stage; see l2s.jobs for these.';

CREATE VIEW l2s.batches AS
SELECT
    b.lease_id AS batch, w.host || ':' || w.pid AS worker, m.name AS model, b.lane, b.outcome,
    b.claimed_at, b.closed_at, b.documents, b.succeeded, b.retried, b.failed, b.cancelled,
    b.tokens_in, b.tokens_out, extract(epoch FROM b.closed_at - b.claimed_at) * 1000 AS total_ms,
    b.tokenize_ms, b.encode_ms, b.handoff_ms, b.decode_ms
FROM l2s.batch b
LEFT JOIN l2s.worker w ON w.id = b.worker_id
LEFT JOIN l2s.reader m ON m.id = b.reader;
COMMENT ON VIEW l2s.batches IS
'What was claimed together: what became of it, and how long its stages took; see l2s.batch for these.';

CREATE VIEW l2s.groups AS
SELECT
    g.name, q.waiting + q.delayed + q.running + r.succeeded + r.failed + r.cancelled AS documents,
    q.waiting, q.delayed, q.running, r.succeeded, r.failed, r.cancelled, g.opened_at, g.finished_at
FROM (
    SELECT
        run.name, array_agg(run.id) AS ids, min(run.opened_at) AS opened_at,
        CASE WHEN bool_and(run.finished_at IS NOT NULL) THEN max(run.finished_at) END AS finished_at
    FROM l2s.group_run run GROUP BY run.name) AS g
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE state = 0) AS waiting, count(*) FILTER (WHERE state = 1) AS running,
        count(*) FILTER (WHERE state = 2) AS delayed
    FROM l2s.queue WHERE group_id = ANY (g.ids)) AS q
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE succeeded) AS succeeded,
        count(*) FILTER (WHERE NOT succeeded AND NOT cancelled) AS failed,
        count(*) FILTER (WHERE cancelled) AS cancelled
    FROM l2s.result WHERE group_id = ANY (g.ids)) AS r;
COMMENT ON VIEW l2s.groups IS 'How far each group is. Ask for one by name: counting all takes time.';
COMMENT ON COLUMN l2s.groups.finished_at IS
    'When its last document was found finished; null again when more are enqueued.';

-- Transactions write results at the same time and commit in any order: a key by time or sequence
-- would pass over what commits late. This one is the transaction's id, and nothing is shown before
-- every transaction with a smaller id has ended. So a long writing transaction anywhere in the
-- server holds the stream up, and loses nothing of it.
CREATE FUNCTION l2s.completed(
    after text DEFAULT NULL, "group" text DEFAULT NULL, documents integer DEFAULT 1000
) RETURNS TABLE (
    key text, id bigint, job_type text, state text, output text, error text,
    finished_at timestamptz, tokens_in integer, tokens_out integer
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    past xid8 := '0';
    seen bigint := 0;
    rest xid8 := pg_snapshot_xmin(pg_current_snapshot());
    runs bigint[];
    page bigint[];
    all_producers boolean := l2s.sees_all();
BEGIN
    IF after IS NOT NULL THEN
        IF after !~ '^[0-9]{1,19}-[0-9]{1,18}$' THEN
            RAISE EXCEPTION 'expected after to be a key of l2s.completed, got %', quote_literal(after)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        past := split_part(after, '-', 1)::xid8;
        seen := split_part(after, '-', 2)::bigint;
    END IF;
    IF "group" IS NULL THEN
        page := ARRAY(
            SELECT r.document_id FROM l2s.result r
            WHERE (r.written_in, r.document_id) > (past, seen) AND r.written_in < rest
              AND (all_producers OR EXISTS (
                  SELECT FROM l2s.document d
                  WHERE d.id = r.document_id AND d.producer = l2s.caller()))
            ORDER BY r.written_in, r.document_id LIMIT completed.documents);
    ELSE
        runs := l2s.group_ids("group");
        page := ARRAY(
            SELECT s.document_id FROM unnest(runs) AS run(id)
            CROSS JOIN LATERAL (
                SELECT r.written_in, r.document_id FROM l2s.result r
                WHERE r.group_id = run.id AND (r.written_in, r.document_id) > (past, seen)
                  AND r.written_in < rest
                  AND (all_producers OR EXISTS (
                      SELECT FROM l2s.document d
                      WHERE d.id = r.document_id AND d.producer = l2s.caller()))
                ORDER BY r.group_id, r.written_in, r.document_id LIMIT completed.documents) AS s
            ORDER BY s.written_in, s.document_id LIMIT completed.documents);
    END IF;
    RETURN QUERY
    SELECT
        r.written_in || '-' || r.document_id, r.document_id, t.name,
        CASE WHEN r.succeeded THEN 'succeeded' WHEN r.cancelled THEN 'cancelled' ELSE 'failed' END,
        r.output, r.error, r.finished_at, r.tokens_in, r.tokens_out
    FROM l2s.result r JOIN l2s.job_type t ON t.id = r.job_type
    WHERE r.document_id = ANY (page)
    ORDER BY r.written_in, r.document_id;
END $$;
COMMENT ON FUNCTION l2s.completed IS
'At most `documents` finished documents, of a group or all, in the order of their completion, from
behind a key on: keep the key of the last row, and pass it to the next call. None is ever left out.';
