-- 10: the views that people read.

CREATE VIEW l2s.jobs WITH (security_barrier = false) AS
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
    r.mode, r.model, r.truncated, r.cut_off, r.parts,
    d.metadata,
    g.name AS "group",
    d.tenant,
    r.agreement,
    CASE
        WHEN r.batch_size > 0 THEN 'batch'
        WHEN r.shared THEN 'shared'
        WHEN r.tokens_out IS NOT NULL AND r.succeeded THEN 'cache'
    END AS encode_source,
    d.siblings
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
COMMENT ON VIEW l2s.jobs IS 'Every job: what it is, how far it is, what came out and how long each stage took.';
COMMENT ON COLUMN l2s.jobs.state IS
    'waiting, delayed (until run_at), running, cancelling, succeeded, failed (for good: see error) or cancelled';
COMMENT ON COLUMN l2s.jobs.attempt IS 'Attempts begun; releases by a stopping worker do not count.';
COMMENT ON COLUMN l2s.jobs.priority IS 'Greater is sooner.';
COMMENT ON COLUMN l2s.jobs.run_at IS 'Not before this time; after a failed attempt, the time of the next.';
COMMENT ON COLUMN l2s.jobs.worker IS 'host:pid of the worker that runs or finished it';
COMMENT ON COLUMN l2s.jobs.error IS 'Why it failed; of an unfinished job, why its last attempt did.';
COMMENT ON COLUMN l2s.jobs.queue_ms IS 'From ready (enqueued, run_at or retry time) to claimed. The stages after it sum to claimed_at → finished_at.';
COMMENT ON COLUMN l2s.jobs.batch_wait_ms IS 'Waiting in the worker, before and after tokenizing, until the encoder took it up.';
COMMENT ON COLUMN l2s.jobs.encode_ms IS 'Of the whole encoder batch: divide by batch_size before summing.';
COMMENT ON COLUMN l2s.jobs.encode_source IS
'Where what it was written from came from: batch, the encoder''s, whose time counts for it; shared,
another document with the same prompt was read at that time; cache, it had been read before.';
COMMENT ON COLUMN l2s.jobs.siblings IS
    'The jobs that were enqueued together with one text, itself included; null for a single one.';
COMMENT ON COLUMN l2s.jobs.handoff_ms IS 'From encoded until a decoder took it up.';
COMMENT ON COLUMN l2s.jobs.writeback_ms IS 'The rest of claimed_at → finished_at: transfers, waiting for the write, the write.';
COMMENT ON COLUMN l2s.jobs.truncated IS 'The source was longer than the job type''s limit, its tail was cut off.';
COMMENT ON COLUMN l2s.jobs.cut_off IS
    'Parts whose output reached limits.new_tokens before its end: it stops in the middle of a sentence.';
COMMENT ON COLUMN l2s.jobs.parts IS 'Parts that a source over the limit was split into; 1 for all others.';
COMMENT ON COLUMN l2s.jobs.agreement IS
    'ROUGE-L between the output and the large model''s own, 0 to 1; null where it wrote none.';

-- Nothing is sorted for "the last fifty of l2s.jobs" when the view is merged into the statement.
-- A security barrier, which keeps a statement's own functions from seeing the rows of others, does
-- not allow that: there is one only while there is something to be kept apart.
CREATE FUNCTION l2s.set_jobs_barrier() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER VIEW l2s.jobs SET (security_barrier = %s)', NEW.producers_apart);
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_barrier AFTER UPDATE OF producers_apart ON l2s.setting
    FOR EACH ROW EXECUTE FUNCTION l2s.set_jobs_barrier();

CREATE VIEW l2s.attempts AS
SELECT
    e.document_id AS id, e.attempt, e.kind AS outcome, w.host || ':' || w.pid AS worker,
    e.lease_id AS batch, e.claimed_at, e.failed_at AS ended_at,
    e.reason AS error, e.tokens_in, e.tokens_out, e.batch_size, e.queue_ms, e.tokenize_ms,
    e.batch_wait_ms, e.encode_ms, e.handoff_ms, e.decode_ms, e.writeback_ms, e.mode, e.model
FROM l2s.attempt_error e
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
    b.lease_id AS batch, w.host || ':' || w.pid AS worker, m.name AS model, b.length_class, b.outcome,
    b.claimed_at, b.closed_at, b.documents, b.succeeded, b.retried, b.failed, b.cancelled,
    b.tokens_in, b.tokens_out, extract(epoch FROM b.closed_at - b.claimed_at) * 1000 AS total_ms,
    b.tokenize_ms, b.encode_ms, b.handoff_ms, b.decode_ms
FROM l2s.batch b
LEFT JOIN l2s.worker w ON w.id = b.worker_id
LEFT JOIN l2s.encoder m ON m.id = b.encoder;
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
    FROM l2s.group_run run
    WHERE (SELECT l2s.sees_all()) OR run.producer = (SELECT l2s.caller())
    GROUP BY run.name) AS g
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

CREATE VIEW l2s.throughput AS
SELECT
    m.minute, t.name AS job_type, m.documents, m.failures, m.tokens_in, m.tokens_out,
    m.documents / m.seconds AS documents_per_s,
    (m.tokens_in + m.tokens_out) / m.seconds AS tokens_per_s,
    m.queue_ms[1] AS queue_p50_ms, m.queue_ms[2] AS queue_p95_ms, m.queue_ms[3] AS queue_p99_ms,
    m.encode_ms[1] AS encode_p50_ms, m.encode_ms[2] AS encode_p95_ms, m.encode_ms[3] AS encode_p99_ms,
    m.decode_ms[1] AS decode_p50_ms, m.decode_ms[2] AS decode_p95_ms, m.decode_ms[3] AS decode_p99_ms,
    m.total_ms[1] AS total_p50_ms, m.total_ms[2] AS total_p95_ms, m.total_ms[3] AS total_p99_ms,
    s.documents AS shadowed, s.agreement / s.documents AS agreement
FROM (
    SELECT * FROM l2s.minute
    UNION ALL
    SELECT * FROM l2s.count_minutes((SELECT c.until FROM l2s.counted c), 'infinity')) AS m
JOIN l2s.job_type t ON t.id = m.job_type
LEFT JOIN l2s.shadow_minute s ON s.minute = m.minute AND s.job_type = m.job_type
ORDER BY m.minute, t.name;
COMMENT ON VIEW l2s.throughput IS
'Finished documents per minute and job type, failed ones included, cancelled ones not. Rates are over
the part of the minute in which documents were in work. total is from ready to finished. Minutes stay
when their documents are no longer kept.';
COMMENT ON COLUMN l2s.throughput.tokens_per_s IS 'Read and written tokens together.';
COMMENT ON COLUMN l2s.throughput.shadowed IS 'Of the documents, those that the large model wrote too.';
COMMENT ON COLUMN l2s.throughput.agreement IS
    'Their mean agreement: ROUGE-L between both outputs, 0 to 1. It sinks when what comes in is no longer what the small model was trained on.';
