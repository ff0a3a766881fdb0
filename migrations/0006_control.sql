-- 6: what people do to the queue: cancel, pause, resume and retry.

CREATE FUNCTION l2s.cancel(VARIADIC documents bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    held    bigint[];
    waiting bigint[];
    flagged bigint;
BEGIN
    held := ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.document_id = ANY (documents) AND NOT q.cancelled
        ORDER BY q.document_id FOR UPDATE);
    waiting := ARRAY(
        SELECT q.document_id FROM l2s.queue q WHERE q.document_id = ANY (held) AND q.state <> 1);
    PERFORM l2s.end_cancelled(waiting, NULL, NULL, NULL);
    UPDATE l2s.queue q SET cancelled = true WHERE q.document_id = ANY (held);
    GET DIAGNOSTICS flagged = ROW_COUNT;
    RETURN cardinality(waiting) + flagged;
END $$;
COMMENT ON FUNCTION l2s.cancel IS
'Cancels documents that are not finished, and returns how many: those that wait at once, those that
run as soon as their worker hears of it. Whatever comes out of them until then is dropped.';

CREATE FUNCTION l2s.cancel_group("group" text, documents integer DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    RETURN l2s.cancel(VARIADIC ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.group_id = ANY (l2s.group_ids("group")) AND NOT q.cancelled
        LIMIT cancel_group.documents));
END $$;
COMMENT ON FUNCTION l2s.cancel_group IS
'Cancels what is not finished of a group, at most `documents` of them; returns how many.';

-- Names the job types that there are when it does not know one.
CREATE FUNCTION l2s.set_paused(job_type text, paused boolean) RETURNS void
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

CREATE FUNCTION l2s.pause(job_type text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM l2s.set_paused(job_type, true);
END $$;
COMMENT ON FUNCTION l2s.pause IS
'No further documents of the job type, or of any when none is named, are taken from the queue. What
runs is finished, and enqueuing goes on.';

CREATE FUNCTION l2s.resume(job_type text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM l2s.set_paused(job_type, false);
END $$;
COMMENT ON FUNCTION l2s.resume IS
'Ends l2s.pause of the same job type, or of the whole queue.';

CREATE FUNCTION l2s.retry(VARIADIC documents bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    again   record;
    counted bigint;
    total   integer := 0;
BEGIN
    -- Until this transaction ends, no more results are tallied.
    SELECT t.until INTO counted FROM l2s.tallied t FOR SHARE;
    FOR again IN
        SELECT r.document_id AS id, r.attempt, r.job_type, r.cancelled, r.written_in
        FROM l2s.result r
        WHERE r.document_id = ANY (documents) AND NOT r.succeeded
        ORDER BY r.document_id FOR UPDATE
    LOOP
        INSERT INTO l2s.queue (
            document_id, run_at, job_type, tokens, rank, length_class, state, tenant, group_id, earlier,
            turn, siblings)
        SELECT
            d.id, clock_timestamp(), d.job_type, size.tokens, -d.priority, l2s.length_class(size.tokens), 0,
            flow.tenant, (
                SELECT l2s.open_group(g.name, d.producer) FROM l2s.group_run g WHERE g.id = d.group_id),
            again.attempt,
            size.tokens + l2s.last_turn(d.job_type, flow.tenant, (-d.priority)::smallint),
            d.siblings
        FROM l2s.document d
        CROSS JOIN LATERAL (SELECT octet_length(l2s.text_of(d)) / 4 + 1 AS tokens) AS size
        CROSS JOIN LATERAL (SELECT coalesce(hashtext(d.tenant), 0) AS tenant) AS flow
        WHERE d.id = again.id;
        DELETE FROM l2s.result r WHERE r.document_id = again.id;
        IF again.written_in < counted THEN
            INSERT INTO l2s.tally (part, job_type, succeeded, failed, cancelled)
            SELECT
                p.number, again.job_type, 0, -(NOT again.cancelled)::integer,
                -again.cancelled::integer
            FROM l2s.part p WHERE again.id >= p.first_id AND again.id < p.after_id;
        END IF;
        total := total + 1;
    END LOOP;
    IF total > 0 THEN
        PERFORM l2s.wake();
    END IF;
    RETURN total;
END $$;
COMMENT ON FUNCTION l2s.retry IS
'Puts documents that failed for good or were cancelled into the queue again, as if they were new;
returns how many. What became of their attempts so far stays in l2s.attempts.';
