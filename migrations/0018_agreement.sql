-- 18: how far outputs agree with the large model's, for job types with a `shadow`.

ALTER TABLE l2s.result ADD COLUMN agreement real;
COMMENT ON COLUMN l2s.result.agreement IS
    'ROUGE-L between the output and the large model''s own, 0 to 1; null where it wrote none.';

COMMENT ON TABLE l2s.result IS
    'What became of each finished document; written once, but for `agreement` never updated.';

-- Counted as it comes: l2s.throughput has no need to look for the few among all results.
CREATE TABLE l2s.shadow_minute (
    minute    timestamptz NOT NULL,
    job_type  integer NOT NULL REFERENCES l2s.job_type,
    documents bigint NOT NULL,
    agreement double precision NOT NULL,
    PRIMARY KEY (minute, job_type)
);
COMMENT ON TABLE l2s.shadow_minute IS
    'Documents that the large model wrote too, by minute, and the sum of their agreements.';

-- The second half of a write-back, for the few documents that have an `agreement`: the arguments of
-- l2s.complete, called after it. Repeating it changes nothing.
CREATE FUNCTION l2s.note_agreement(lease_id bigint, documents json) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
    WITH noted AS (
        UPDATE l2s.result r SET agreement = d.agreement
        FROM json_to_recordset(note_agreement.documents) AS d(id bigint, agreement real)
        WHERE d.agreement IS NOT NULL AND r.agreement IS NULL
          AND r.document_id = d.id AND r.lease_id = note_agreement.lease_id
        RETURNING r.job_type, date_trunc('minute', r.finished_at) AS minute, r.agreement)
    INSERT INTO l2s.shadow_minute AS m (minute, job_type, documents, agreement)
    SELECT n.minute, n.job_type, count(*), sum(n.agreement)
    FROM noted n GROUP BY n.minute, n.job_type ORDER BY n.minute, n.job_type
    ON CONFLICT (minute, job_type) DO UPDATE SET
        documents = m.documents + excluded.documents,
        agreement = m.agreement + excluded.agreement
$$;

INSERT INTO l2s.permission (role, function) VALUES ('l2s_worker', 'note_agreement');

-- The views of 15 and 16, with what is new at the end.

CREATE OR REPLACE VIEW l2s.jobs WITH (security_barrier) AS
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
    d.tenant,
    r.agreement
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

CREATE OR REPLACE VIEW l2s.throughput AS
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

COMMENT ON COLUMN l2s.jobs.agreement IS
    'ROUGE-L between the output and the large model''s own, 0 to 1; null where it wrote none.';
COMMENT ON COLUMN l2s.throughput.shadowed IS 'Of the documents, those that the large model wrote too.';
COMMENT ON COLUMN l2s.throughput.agreement IS
    'Their mean agreement: ROUGE-L between both outputs, 0 to 1. It sinks when what comes in is no longer what the small model was trained on.';
