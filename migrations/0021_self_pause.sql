-- 21: a job type that only crashes workers pauses itself, and groups are settled when workers leave.

ALTER TABLE l2s.job_type ADD COLUMN paused_because text;
COMMENT ON COLUMN l2s.job_type.paused_because IS
    'Why it paused itself; null when somebody paused it, or nobody did.';

-- Pauses the job types whose last five dead letters of the day all crashed their workers and of
-- which nothing succeeded since the first of those: then it is not the documents. Returns them. To be
-- called after l2s.rescue has given documents up. After l2s.resume one more such document is enough.
CREATE FUNCTION l2s.pause_crashing() RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    WITH dead AS (
        SELECT
            r.job_type, r.document_id, r.attempt, r.finished_at,
            row_number() OVER (PARTITION BY r.job_type ORDER BY r.finished_at DESC) AS place
        FROM l2s.result r
        WHERE NOT r.succeeded AND NOT r.cancelled AND r.finished_at > now() - interval '1 day'
    ), crashed AS (
        SELECT d.job_type, min(d.finished_at) AS since, array_agg(d.document_id) AS documents
        FROM dead d
        JOIN l2s.attempt_error e
            ON e.document_id = d.document_id AND e.attempt = d.attempt AND e.kind = 'crashed'
        WHERE d.place <= 5
        GROUP BY d.job_type HAVING count(*) = 5
    )
    UPDATE l2s.job_type t SET
        paused = true,
        paused_because = format(
            'documents %s crashed their workers one after the other and nothing of the type succeeded '
                'in between: look at the workers'' logs and memory, then l2s resume and l2s retry',
            array_to_string(c.documents, ', '))
    FROM crashed c
    WHERE t.id = c.job_type AND NOT t.paused AND NOT EXISTS (
        SELECT FROM l2s.result r
        WHERE r.finished_at >= c.since AND r.job_type = c.job_type AND r.succeeded)
    RETURNING t.name;
END $$;

CREATE OR REPLACE FUNCTION l2s.set_paused(job_type text, paused boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF job_type IS NULL THEN
        UPDATE l2s.setting s SET paused = set_paused.paused;
    ELSE
        UPDATE l2s.job_type t SET paused = set_paused.paused, paused_because = NULL
        WHERE t.name = set_paused.job_type;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'unknown job type %', quote_literal(job_type)
                USING ERRCODE = 'undefined_object';
        END IF;
    END IF;
    IF NOT paused THEN
        PERFORM l2s.wake();
    END IF;
END $$;

-- For a worker that leaves when the queue is empty: it may be the last for long, and the group of its
-- last document is to be told of. Looks whenever somebody else did.
CREATE FUNCTION l2s.settle_groups() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE l2s.chore c SET at = '-infinity' WHERE c.name = 'groups';
    RETURN l2s.finish_groups();
END $$;

INSERT INTO l2s.permission (role, function)
VALUES ('l2s_worker', 'pause_crashing'), ('l2s_worker', 'settle_groups');
