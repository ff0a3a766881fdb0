-- 6: a document's trace context reaches the worker that takes it.

DROP FUNCTION l2s.claim;

-- Takes the next batch: from one lane, in order of priority and age, at most `documents` of at most
-- `tokens` estimated tokens together, but at least one. traceparent is the metadata's, unread.
CREATE FUNCTION l2s.claim(
    worker_id bigint, reader text, job_types text[], documents integer, tokens integer,
    duration interval
) RETURNS TABLE (
    lease_id bigint, lane smallint, document_id bigint, job_type text, attempt integer, body text,
    traceparent text
)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    reader_id integer;
    type_ids  integer[];
    candidate smallint;
    picked    bigint[] := '{}';
    token     bigint;
    stamp     timestamptz;
BEGIN
    SELECT r.id INTO reader_id FROM l2s.reader r WHERE r.name = claim.reader;
    type_ids := ARRAY(
        SELECT t.id FROM l2s.job_type t
        WHERE t.reader = reader_id AND t.name = ANY (claim.job_types) AND NOT t.paused);

    FOR candidate IN SELECT l2s.due_lanes(claim.worker_id, reader_id, type_ids) LOOP
        picked := ARRAY(
            SELECT p.document_id FROM (
                SELECT
                    locked.document_id,
                    sum(locked.tokens) OVER w AS total, row_number() OVER w AS number
                FROM (
                    SELECT q.document_id, q.rank, q.tokens FROM l2s.queue q
                    WHERE q.state = 0 AND q.reader = reader_id AND q.lane = candidate
                      AND q.job_type = ANY (type_ids)
                    ORDER BY q.reader, q.lane, q.rank, q.document_id
                    LIMIT least(
                        claim.documents, CASE candidate WHEN 6 THEN 16 WHEN 7 THEN 1 END)
                    FOR NO KEY UPDATE SKIP LOCKED) AS locked
                WINDOW w AS (ORDER BY locked.rank, locked.document_id)) AS p
            WHERE p.total <= claim.tokens OR p.number = 1);
        EXIT WHEN picked <> '{}';
    END LOOP;
    IF picked = '{}' THEN
        RETURN;
    END IF;

    -- The token is time and chance: a sequence could repeat after lost WAL or a failover.
    LOOP
        stamp := clock_timestamp();
        token := (extract(epoch FROM stamp) * 1000)::bigint << 20 | (random() * 1048575)::bigint;
        INSERT INTO l2s.lease (
            id, worker_id, reader, lane, documents, claimed_at, duration, expires_at)
        VALUES (
            token, claim.worker_id, reader_id, candidate, cardinality(picked), stamp,
            claim.duration, stamp + claim.duration)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
    END LOOP;
    UPDATE l2s.worker w SET idle = false WHERE w.id = claim.worker_id AND w.idle;

    RETURN QUERY
    WITH leased AS (
        UPDATE l2s.queue q SET state = 1, lease_id = token, claims = q.claims + 1
        WHERE q.document_id = ANY (picked)
        RETURNING q.document_id, q.job_type, q.rank, q.errors + q.crashes + 1 AS attempt)
    SELECT token, candidate, d.id, t.name, leased.attempt, d.body,
        d.metadata ->> 'traceparent'
    FROM leased
    JOIN l2s.document d ON d.id = leased.document_id
    JOIN l2s.job_type t ON t.id = leased.job_type
    ORDER BY leased.rank, d.id;
END $$;

COMMENT ON FUNCTION l2s.enqueue IS
'Puts a document through a job type and returns the job''s id.
priority: greater is sooner. run_at: not before this time. dedupe_key: a job of the same type and key
is not enqueued again, its id is returned. metadata: kept beside the job; l2s reads one key of it,
traceparent, the W3C trace context that the worker''s spans continue.
Over a table: SELECT l2s.enqueue(''summarize'', body) FROM articles';
