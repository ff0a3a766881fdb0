-- 24: a few poison documents side by side are not taken for a sick fleet.
--
-- After the second crash suspects are tried alone, and always in the order of their turns: five
-- poison documents that lay side by side died one after the other, before one that is innocent was
-- tried, and their job type paused itself. Now they are tried in any order, and a success since the
-- first of those five crashed for the first time is enough: something of the type works.

-- Takes documents back from at most `leases` leases that ran out. The ladder that isolates a poison
-- document from its batch: after one crash in batches of 16, after two alone and in any order,
-- after four dead.
-- After a restart of the server a lease has its full time again: its worker could not renew it.
CREATE OR REPLACE FUNCTION l2s.rescue(leases integer DEFAULT 16)
RETURNS TABLE (rescued_leases integer, suspects integer, dead integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    lease   l2s.lease;
    held    bigint[];
    dropped bigint[];
    lost    bigint[];
    stamp   timestamptz;
BEGIN
    rescued_leases := 0; suspects := 0; dead := 0;
    FOR lease IN
        SELECT l.* FROM l2s.lease l
        WHERE l.expires_at < clock_timestamp()
          AND pg_postmaster_start_time() + l.duration < clock_timestamp()
        ORDER BY l.id LIMIT rescue.leases FOR UPDATE SKIP LOCKED
    LOOP
        held := ARRAY(
            SELECT q.document_id FROM l2s.queue q
            WHERE q.lease_id = lease.id AND q.state = 1 ORDER BY q.document_id FOR UPDATE);
        stamp := clock_timestamp();

        INSERT INTO l2s.attempt_error (
            document_id, attempt, lease_id, worker_id, kind, claimed_at, failed_at, reason, queue_ms)
        SELECT
            q.document_id, q.earlier + q.errors + q.crashes + 1, lease.id, lease.worker_id,
            'crashed', lease.claimed_at, stamp, 'the worker was not heard of again',
            extract(epoch FROM lease.claimed_at - q.run_at) * 1000
        FROM l2s.queue q WHERE q.document_id = ANY (held);

        dropped := ARRAY(
            SELECT q.document_id FROM l2s.queue q WHERE q.document_id = ANY (held) AND q.cancelled);
        IF dropped <> '{}' THEN
            PERFORM l2s.end_cancelled(dropped, lease.id, lease.worker_id, lease.claimed_at);
        END IF;
        lost := ARRAY(
            SELECT q.document_id FROM l2s.queue q
            WHERE q.document_id = ANY (held) AND q.crashes + 1 >= 4);
        INSERT INTO l2s.result (
            document_id, job_type, group_id, written_in, lease_id, worker_id, succeeded, attempt,
            claimed_at, finished_at, error, queue_ms)
        SELECT
            q.document_id, q.job_type, q.group_id, pg_current_xact_id(), lease.id, lease.worker_id,
            false, q.earlier + q.errors + q.crashes + 1, lease.claimed_at, stamp,
            format(
                '%s workers were not heard of again, the last two of them with this document alone',
                q.crashes + 1),
            extract(epoch FROM lease.claimed_at - q.run_at) * 1000
        FROM l2s.queue q WHERE q.document_id = ANY (lost);
        PERFORM l2s.announce(ARRAY(
            SELECT q.document_id FROM l2s.queue q WHERE q.document_id = ANY (lost) AND q.notify));
        DELETE FROM l2s.queue q WHERE q.document_id = ANY (lost);

        UPDATE l2s.queue q SET
            state = 0, lease_id = NULL, run_at = stamp, crashes = q.crashes + 1,
            lane = CASE q.crashes WHEN 0 THEN 6 ELSE 7 END,
            turn = CASE q.crashes WHEN 0 THEN q.turn ELSE mixed.turn END
        FROM (
            SELECT one.document_id, other.turn
            FROM (
                SELECT
                    s.document_id, s.job_type, s.rank,
                    row_number() OVER (PARTITION BY s.job_type, s.rank ORDER BY random()) AS place
                FROM l2s.queue s WHERE s.document_id = ANY (held)) AS one
            JOIN (
                SELECT
                    s.turn, s.job_type, s.rank,
                    row_number() OVER (PARTITION BY s.job_type, s.rank ORDER BY s.turn) AS place
                FROM l2s.queue s WHERE s.document_id = ANY (held)) AS other
                USING (job_type, rank, place)) AS mixed
        WHERE q.document_id = mixed.document_id;
        PERFORM l2s.close_lease(lease.id, 'expired');

        rescued_leases := rescued_leases + 1;
        suspects := suspects + cardinality(held) - cardinality(dropped) - cardinality(lost);
        dead := dead + cardinality(lost);
    END LOOP;
    IF suspects > 0 THEN
        PERFORM l2s.wake();
    END IF;
    -- Those who died while they waited; l2s.enqueue looks at every idle worker.
    UPDATE l2s.worker w SET idle = false
    WHERE w.id = ANY (ARRAY(
        SELECT v.id FROM l2s.worker v
        WHERE v.idle AND v.seen_at < clock_timestamp() - interval '1 minute'
        FOR NO KEY UPDATE SKIP LOCKED));
    RETURN NEXT;
END $$;

-- Pauses the job types whose last five dead letters of the day all crashed their workers and of
-- which nothing succeeded since the first crash of these: then it is not the documents. Returns
-- them. To be called after l2s.rescue has given documents up. After l2s.resume one more such
-- document is enough.
CREATE OR REPLACE FUNCTION l2s.pause_crashing() RETURNS SETOF text
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
        SELECT
            d.job_type, array_agg(d.document_id) AS documents,
            min((
                SELECT min(c.failed_at) FROM l2s.attempt_error c
                WHERE c.document_id = d.document_id AND c.kind = 'crashed'
                  AND c.attempt > d.attempt - 4)) AS since
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

-- Names the job types that there are when it does not know one.
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
            RAISE EXCEPTION 'unknown job type %', quote_literal(job_type) USING
                ERRCODE = 'undefined_object',
                DETAIL = 'Known job types: ' || coalesce(
                    (SELECT string_agg(t.name, ', ' ORDER BY t.name) FROM l2s.job_type t),
                    'none yet') || '.';
        END IF;
    END IF;
    IF NOT paused THEN
        PERFORM l2s.wake();
    END IF;
END $$;
