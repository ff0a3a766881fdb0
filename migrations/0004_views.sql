-- 4: what operators read.

CREATE VIEW l2s.jobs AS
SELECT
    d.id,
    t.name AS job_type,
    CASE
        WHEN r.succeeded THEN 'succeeded'
        WHEN r.document_id IS NOT NULL THEN 'failed'
        WHEN q.state = 0 THEN 'waiting'
        WHEN q.state = 1 THEN 'running'
        WHEN q.state = 2 THEN 'delayed'
    END AS state,
    coalesce(r.attempt, q.errors + q.crashes + (q.state = 1)::integer) AS attempt,
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
    d.metadata
FROM l2s.document d
JOIN l2s.job_type t ON t.id = d.job_type
LEFT JOIN l2s.queue q ON q.document_id = d.id
LEFT JOIN l2s.lease l ON l.id = q.lease_id
LEFT JOIN l2s.result r ON r.document_id = d.id
LEFT JOIN l2s.worker w ON w.id = coalesce(r.worker_id, l.worker_id)
LEFT JOIN LATERAL (
    SELECT e.reason FROM l2s.attempt_error e
    WHERE e.document_id = d.id AND r.document_id IS NULL
    ORDER BY e.attempt DESC LIMIT 1) AS last_error ON true;

COMMENT ON VIEW l2s.jobs IS 'Every job: what it is, how far it is, what came out and how long each stage took.';
COMMENT ON COLUMN l2s.jobs.state IS
    'waiting, delayed (until run_at), running, succeeded or failed (for good: see error)';
COMMENT ON COLUMN l2s.jobs.attempt IS 'Attempts begun; releases by a stopping worker do not count.';
COMMENT ON COLUMN l2s.jobs.priority IS 'Greater is sooner.';
COMMENT ON COLUMN l2s.jobs.run_at IS 'Not before this time; after a failed attempt, the time of the next.';
COMMENT ON COLUMN l2s.jobs.worker IS 'host:pid of the worker that runs or finished it';
COMMENT ON COLUMN l2s.jobs.error IS 'Why it failed; of an unfinished job, why its last attempt did.';
COMMENT ON COLUMN l2s.jobs.queue_ms IS 'From ready (enqueued, run_at or retry time) to claimed. The stages after it sum to claimed_at → finished_at.';
COMMENT ON COLUMN l2s.jobs.batch_wait_ms IS 'Waiting in the worker, before and after tokenizing, until the encoder took it up.';
COMMENT ON COLUMN l2s.jobs.encode_ms IS 'Of the whole encoder batch: divide by batch_size before summing.';
COMMENT ON COLUMN l2s.jobs.handoff_ms IS 'From encoded until a decoder took it up.';
COMMENT ON COLUMN l2s.jobs.writeback_ms IS 'The rest of claimed_at → finished_at: transfers, waiting for the write, the write.';
COMMENT ON COLUMN l2s.jobs.truncated IS 'The source was longer than the job type''s limit, its tail was cut off.';
COMMENT ON COLUMN l2s.jobs.parts IS 'Parts that a source over the limit was split into; 1 for all others.';

CREATE VIEW l2s.throughput AS
SELECT
    m.minute, m.job_type, m.documents, m.failures, m.tokens_in, m.tokens_out,
    m.documents / m.seconds AS documents_per_s,
    (m.tokens_in + m.tokens_out) / m.seconds AS tokens_per_s,
    m.queue[1] AS queue_p50_ms, m.queue[2] AS queue_p95_ms, m.queue[3] AS queue_p99_ms,
    m.encode[1] AS encode_p50_ms, m.encode[2] AS encode_p95_ms, m.encode[3] AS encode_p99_ms,
    m.decode[1] AS decode_p50_ms, m.decode[2] AS decode_p95_ms, m.decode[3] AS decode_p99_ms,
    m.total[1] AS total_p50_ms, m.total[2] AS total_p95_ms, m.total[3] AS total_p99_ms
FROM (
    SELECT
        date_trunc('minute', r.finished_at) AS minute,
        t.name AS job_type,
        count(*) AS documents,
        count(*) FILTER (WHERE NOT r.succeeded) AS failures,
        coalesce(sum(r.tokens_in), 0) AS tokens_in,
        coalesce(sum(r.tokens_out), 0) AS tokens_out,
        -- The part of the minute in which there was work: a run of ten seconds is not diluted.
        greatest(extract(epoch FROM
            max(r.finished_at)
                - greatest(min(r.claimed_at), date_trunc('minute', min(r.finished_at)))
        ), 0.001)::double precision AS seconds,
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.queue_ms) AS queue,
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.encode_ms) AS encode,
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.decode_ms) AS decode,
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
            ORDER BY r.queue_ms + extract(epoch FROM r.finished_at - r.claimed_at)::double precision
                * 1000) AS total
    FROM l2s.result r
    JOIN l2s.job_type t ON t.id = r.job_type
    GROUP BY date_trunc('minute', r.finished_at), t.name
) AS m
ORDER BY m.minute, m.job_type;

COMMENT ON VIEW l2s.throughput IS
'Finished documents per minute and job type, failed ones included. Rates are over the part of the
minute in which documents were in work. total is from ready to finished.';
COMMENT ON COLUMN l2s.throughput.tokens_per_s IS 'Read and written tokens together.';
