-- 14: whoever writes about a lease says which worker it is, and is believed only about its own.
--
-- The id of a lease proves a write, and no worker sees the ids of others. If one comes by such an id all
-- the same - an id that was noted too early, a program that mixes two stores up - it is still refused, as
-- if the lease were gone. Each function takes the worker's id as its first argument.

DROP FUNCTION l2s.complete_each(bigint, l2s.completion[]);
DROP FUNCTION l2s.complete(bigint, l2s.completion[]);
DROP FUNCTION l2s.release(bigint, bigint[]);
DROP FUNCTION l2s.note_agreement(bigint, json);

-- Judges each document by itself: it failed, was cancelled, is told again, or is no longer the
-- lease's. See l2s.complete for the verdicts.
CREATE FUNCTION l2s.complete_each(worker_id bigint, lease_id bigint, documents l2s.completion[])
RETURNS TABLE (document_id bigint, verdict text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    lease   l2s.lease;
    held    bigint[] := '{}';
    again   bigint[];
    dropped bigint[];
    heard   bigint[];
    others  bigint[];
    stamp   timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN PERFORM l2s.demand_read_committed(); END IF;
    SELECT l.* INTO lease FROM l2s.lease l
    WHERE l.id = complete_each.lease_id AND l.worker_id = complete_each.worker_id FOR UPDATE;
    IF FOUND THEN
        stamp := clock_timestamp();
        WITH held AS MATERIALIZED (
            SELECT
                r.*, q.document_id, q.job_type, q.group_id, q.run_at, q.cancelled, q.notify,
                q.earlier, q.errors, q.crashes
            FROM unnest(documents) AS r
            JOIN l2s.queue q ON q.document_id = r.id
            WHERE q.state = 1 AND q.lease_id = lease.id
            ORDER BY q.document_id FOR UPDATE OF q
        ), judged AS MATERIALIZED (
            SELECT
                h.*, h.earlier + h.errors + h.crashes + 1 AS attempt,
                h.outcome = 'succeeded' AND NOT h.cancelled AS succeeded,
                h.cancelled OR h.outcome <> 'failed' OR h.errors + 1 >= (
                    SELECT t.maximum_attempts FROM l2s.job_type t WHERE t.id = h.job_type) AS final,
                extract(epoch FROM lease.claimed_at - h.run_at) * 1000 AS queue_ms,
                -- What is left of claim to finish: the stages sum to it.
                extract(epoch FROM stamp - lease.claimed_at) * 1000 - (
                    h.tokenize_ms + h.batch_wait_ms + h.encode_ms + h.handoff_ms + h.decode_ms
                ) AS writeback_ms
            FROM held h
        ), results AS (
            INSERT INTO l2s.result (
                document_id, job_type, group_id, written_in, lease_id, worker_id, succeeded,
                cancelled, attempt, claimed_at, finished_at, output, error, mode, model, tokens_in,
                tokens_out, batch_size, shared, parts, truncated, cut_off, queue_ms, tokenize_ms,
                batch_wait_ms, encode_ms, handoff_ms, decode_ms, writeback_ms)
            SELECT
                j.document_id, j.job_type, j.group_id, (SELECT l2s.mark(pg_current_xact_id())), lease.id,
                lease.worker_id, j.succeeded, j.cancelled, j.attempt, lease.claimed_at, stamp,
                CASE WHEN j.succeeded THEN j.output END,
                CASE WHEN j.cancelled THEN 'cancelled' ELSE j.reason END,
                j.mode, j.model, j.tokens_in, j.tokens_out, j.batch_size, j.shared, j.parts, j.truncated,
                j.cut_off, j.queue_ms, j.tokenize_ms, j.batch_wait_ms, j.encode_ms, j.handoff_ms, j.decode_ms,
                j.writeback_ms
            FROM judged j WHERE j.final
        ), removed AS (
            -- By key and not by place: a row that was updated while `held` waited for its lock lies at a
            -- place that this statement's snapshot does not see.
            DELETE FROM l2s.queue q
            WHERE q.document_id = ANY (ARRAY(SELECT j.document_id FROM judged j WHERE j.final))
        ), retried AS (
            -- The first delay is `backoff`, doubled with each further error; a quarter of chance
            -- either way spreads documents that failed together.
            UPDATE l2s.queue q SET
                state = 2, lease_id = NULL, errors = q.errors + 1,
                run_at = stamp + least(
                    t.maximum_backoff,
                    t.backoff * (2 ^ least(q.errors, 20) * (0.75 + random() / 2)))
            FROM l2s.job_type t
            WHERE t.id = q.job_type
              AND q.document_id = ANY (ARRAY(SELECT j.document_id FROM judged j WHERE NOT j.final))
        ), errors AS (
            INSERT INTO l2s.attempt_error (
                document_id, attempt, lease_id, worker_id, kind, claimed_at, failed_at, reason,
                mode, model, tokens_in, tokens_out, batch_size, queue_ms, tokenize_ms,
                batch_wait_ms, encode_ms, handoff_ms, decode_ms, writeback_ms)
            SELECT
                j.document_id, j.attempt, lease.id, lease.worker_id, j.outcome, lease.claimed_at,
                stamp, j.reason, j.mode, j.model, j.tokens_in, j.tokens_out, j.batch_size,
                j.queue_ms, j.tokenize_ms, j.batch_wait_ms, j.encode_ms, j.handoff_ms, j.decode_ms,
                j.writeback_ms
            FROM judged j WHERE j.outcome <> 'succeeded'
        ), batch AS (
            UPDATE l2s.lease l SET
                succeeded = l.succeeded + sums.succeeded, retried = l.retried + sums.retried,
                failed = l.failed + sums.failed, cancelled = l.cancelled + sums.cancelled,
                tokens_in = l.tokens_in + sums.tokens_in,
                tokens_out = l.tokens_out + sums.tokens_out,
                tokenize_ms = l.tokenize_ms + sums.tokenize_ms,
                encode_ms = l.encode_ms + sums.encode_ms,
                handoff_ms = greatest(l.handoff_ms, sums.handoff_ms),
                decode_ms = greatest(l.decode_ms, sums.decode_ms)
            FROM (
                SELECT
                    count(*) FILTER (WHERE j.succeeded) AS succeeded,
                    count(*) FILTER (WHERE NOT j.final) AS retried,
                    count(*) FILTER (WHERE j.final AND NOT j.succeeded AND NOT j.cancelled)
                        AS failed,
                    count(*) FILTER (WHERE j.cancelled) AS cancelled,
                    coalesce(sum(j.tokens_in), 0) AS tokens_in,
                    coalesce(sum(j.tokens_out), 0) AS tokens_out,
                    coalesce(sum(j.tokenize_ms), 0) AS tokenize_ms,
                    coalesce(sum(j.encode_ms / nullif(j.batch_size, 0)), 0) AS encode_ms,
                    coalesce(max(j.handoff_ms), 0) AS handoff_ms,
                    coalesce(max(j.decode_ms), 0) AS decode_ms
                FROM judged j) AS sums
            WHERE l.id = lease.id
        )
        SELECT
            array_agg(j.document_id) FILTER (WHERE j.document_id IS NOT NULL),
            coalesce(array_agg(j.document_id) FILTER (WHERE NOT j.final), '{}'),
            coalesce(array_agg(j.document_id) FILTER (WHERE j.cancelled), '{}'),
            array_agg(j.document_id) FILTER (WHERE j.final AND j.notify),
            array_agg(r.id) FILTER (WHERE j.document_id IS NULL)
        INTO held, again, dropped, heard, others
        FROM unnest(documents) AS r LEFT JOIN judged j ON j.document_id = r.id;
        IF heard IS NOT NULL THEN
            PERFORM l2s.announce(heard);
        END IF;
        IF dropped <> '{}' THEN
            DELETE FROM l2s.dedupe d WHERE d.document_id = ANY (dropped);
        END IF;

        PERFORM l2s.let_go(lease.id, held, 'finished');

        RETURN QUERY
        SELECT h.id, CASE
            WHEN h.id = ANY (again) THEN 'retried'
            WHEN h.id = ANY (dropped) THEN 'cancelled'
            ELSE 'recorded' END
        FROM unnest(held) AS h(id);
    ELSE
        others := ARRAY(SELECT d.id FROM unnest(documents) AS d);
    END IF;

    -- What became of those that it does not hold, in this lease's name.
    IF others IS NOT NULL THEN
        RETURN QUERY
        SELECT o.id, CASE
            WHEN r.cancelled THEN 'cancelled'
            WHEN e.kind = 'crashed' THEN 'stale'  -- by l2s.rescue
            WHEN r.cancelled IS NOT NULL THEN 'recorded'
            WHEN e.kind IS NOT NULL THEN 'retried'
            ELSE 'stale' END
        FROM unnest(others) AS o(id)
        -- LIMIT keeps the planner from ever scanning these tables.
        LEFT JOIN LATERAL (
            SELECT f.kind FROM l2s.attempt_error f
            WHERE f.document_id = o.id AND f.lease_id = complete_each.lease_id
              AND f.worker_id = complete_each.worker_id LIMIT 1) AS e ON true
        LEFT JOIN LATERAL (
            SELECT s.cancelled FROM l2s.result s
            WHERE s.document_id = o.id AND s.lease_id = complete_each.lease_id
              AND s.worker_id = complete_each.worker_id LIMIT 1) AS r ON true;
    END IF;
END $$;

-- Writes back all or a part of a batch, and closes the lease with its last document. Returns only the
-- documents whose verdict is not `recorded`:
--   recorded   its result is written, now or by an earlier call of this lease
--   retried    its failure is, and it will be tried again
--   cancelled  it was cancelled meanwhile, and ends so
--   stale      the lease no longer holds it, nothing was written
-- Documents that all succeeded, as nearly all do, are written here in one statement; the others are
-- left to l2s.complete_each.
CREATE FUNCTION l2s.complete(worker_id bigint, lease_id bigint, documents l2s.completion[])
RETURNS TABLE (document_id bigint, verdict text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    lease l2s.lease;
    wrote record;
    took  double precision;
    stamp timestamptz;
BEGIN
    PERFORM l2s.demand_read_committed();
    -- Whoever locks documents does so by id, in one go.
    IF EXISTS (SELECT FROM unnest(documents) AS d WHERE d.outcome <> 'succeeded') THEN
        RETURN QUERY
        SELECT c.* FROM l2s.complete_each(complete.worker_id, complete.lease_id, documents) AS c
        WHERE c.verdict <> 'recorded';
        RETURN;
    END IF;
    SELECT l.* INTO lease FROM l2s.lease l
    WHERE l.id = complete.lease_id AND l.worker_id = complete.worker_id FOR UPDATE;
    stamp := clock_timestamp();
    took := date_part('epoch', stamp - lease.claimed_at) * 1000;
    WITH removed AS (
        DELETE FROM l2s.queue q
        WHERE q.document_id = ANY (ARRAY(SELECT d.id FROM unnest(documents) AS d))
          AND q.lease_id = lease.id AND NOT q.cancelled
        RETURNING q.*
    ), written AS MATERIALIZED (
        SELECT
            d.*, r.job_type, r.group_id, r.notify, r.earlier + r.errors + r.crashes + 1 AS attempt,
            date_part('epoch', lease.claimed_at - r.run_at) * 1000 AS queue_ms
        FROM removed r JOIN unnest(documents) AS d ON d.id = r.document_id
    ), results AS (
        INSERT INTO l2s.result (
            document_id, job_type, group_id, written_in, lease_id, worker_id, succeeded, attempt,
            claimed_at, finished_at, output, mode, model, tokens_in, tokens_out, batch_size, shared, parts,
            truncated, cut_off, queue_ms, tokenize_ms, batch_wait_ms, encode_ms, handoff_ms, decode_ms,
            writeback_ms)
        SELECT
            w.id, w.job_type, w.group_id, (SELECT l2s.mark(pg_current_xact_id())), lease.id, lease.worker_id, true,
            w.attempt, lease.claimed_at, stamp, w.output, w.mode, w.model, w.tokens_in,
            w.tokens_out, w.batch_size, w.shared, w.parts, w.truncated, w.cut_off, w.queue_ms,
            w.tokenize_ms,
            w.batch_wait_ms, w.encode_ms, w.handoff_ms, w.decode_ms,
            -- What is left of claim to finish: the stages sum to it.
            took - (w.tokenize_ms + w.batch_wait_ms + w.encode_ms + w.handoff_ms + w.decode_ms)
        FROM written w
    )
    SELECT
        array_agg(w.id) AS ids, array_agg(w.id) FILTER (WHERE w.notify) AS heard,
        count(*) AS succeeded, coalesce(sum(w.tokens_in), 0) AS tokens_in,
        coalesce(sum(w.tokens_out), 0) AS tokens_out,
        coalesce(sum(w.tokenize_ms), 0) AS tokenize_ms,
        coalesce(sum(w.encode_ms / nullif(w.batch_size, 0)), 0) AS encode_ms,
        coalesce(max(w.handoff_ms), 0) AS handoff_ms, coalesce(max(w.decode_ms), 0) AS decode_ms
    INTO wrote FROM written w;
    IF wrote.heard IS NOT NULL THEN
        PERFORM l2s.announce(wrote.heard);
    END IF;
    IF wrote.succeeded > 0 THEN
        UPDATE l2s.lease l SET
            succeeded = l.succeeded + wrote.succeeded, tokens_in = l.tokens_in + wrote.tokens_in,
            tokens_out = l.tokens_out + wrote.tokens_out,
            tokenize_ms = l.tokenize_ms + wrote.tokenize_ms,
            encode_ms = l.encode_ms + wrote.encode_ms,
            handoff_ms = greatest(l.handoff_ms, wrote.handoff_ms),
            decode_ms = greatest(l.decode_ms, wrote.decode_ms)
        WHERE l.id = lease.id;
        PERFORM l2s.let_go(lease.id, wrote.ids, 'finished');
    END IF;

    IF wrote.succeeded < cardinality(documents) THEN
        RETURN QUERY
        SELECT c.* FROM l2s.complete_each(complete.worker_id, complete.lease_id, ARRAY(
            SELECT d FROM unnest(documents) AS d WHERE d.id <> ALL (coalesce(wrote.ids, '{}'))
        )) AS c
        WHERE c.verdict <> 'recorded';
    END IF;
END $$;

-- Gives documents of a batch back, uncharged; those that were cancelled end here. Returns how many
-- the lease still held.
CREATE FUNCTION l2s.release(worker_id bigint, lease_id bigint, documents bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    lease   l2s.lease;
    held    bigint[];
    dropped bigint[];
BEGIN
    PERFORM l2s.demand_read_committed();
    SELECT l.* INTO lease FROM l2s.lease l
    WHERE l.id = release.lease_id AND l.worker_id = release.worker_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    held := ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.document_id = ANY (release.documents) AND q.state = 1 AND q.lease_id = lease.id
        ORDER BY q.document_id FOR UPDATE);
    dropped := ARRAY(
        SELECT q.document_id FROM l2s.queue q WHERE q.document_id = ANY (held) AND q.cancelled);
    IF dropped <> '{}' THEN
        PERFORM l2s.end_cancelled(dropped, lease.id, lease.worker_id, lease.claimed_at);
        UPDATE l2s.lease l SET cancelled = l.cancelled + cardinality(dropped)
        WHERE l.id = lease.id;
    END IF;
    UPDATE l2s.queue q SET state = 0, lease_id = NULL, run_at = clock_timestamp()
    WHERE q.document_id = ANY (held);
    PERFORM l2s.let_go(lease.id, held, 'released');
    PERFORM l2s.wake();
    RETURN cardinality(held);
END $$;

-- The second half of a write-back, for the few documents that have an `agreement`: the arguments of
-- l2s.complete, called after it. Repeating it changes nothing.
CREATE FUNCTION l2s.note_agreement(worker_id bigint, lease_id bigint, documents json) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
    WITH noted AS (
        UPDATE l2s.result r SET agreement = d.agreement
        FROM json_to_recordset(note_agreement.documents) AS d(id bigint, agreement real)
        WHERE d.agreement IS NOT NULL AND r.agreement IS NULL
          AND r.document_id = d.id AND r.lease_id = note_agreement.lease_id
          AND r.worker_id = note_agreement.worker_id
        RETURNING r.job_type, date_trunc('minute', r.finished_at) AS minute, r.agreement)
    INSERT INTO l2s.shadow_minute AS m (minute, job_type, documents, agreement)
    SELECT n.minute, n.job_type, count(*), sum(n.agreement)
    FROM noted n GROUP BY n.minute, n.job_type ORDER BY n.minute, n.job_type
    ON CONFLICT (minute, job_type) DO UPDATE SET
        documents = m.documents + excluded.documents,
        agreement = m.agreement + excluded.agreement
$$;

-- l2s.open_groups counted what finished in groups of the same name that other producers have.
CREATE OR REPLACE FUNCTION l2s.open_groups(groups integer DEFAULT 100) RETURNS TABLE (
    name text, waiting bigint, delayed bigint, running bigint, succeeded bigint, failed bigint,
    cancelled bigint, lately bigint
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
WITH unfinished AS (
    SELECT
        q.group_id, count(*) FILTER (WHERE q.state = 0) AS waiting,
        count(*) FILTER (WHERE q.state = 1) AS running,
        count(*) FILTER (WHERE q.state = 2) AS delayed
    FROM l2s.queue q WHERE q.group_id IS NOT NULL GROUP BY q.group_id
), latest AS (
    SELECT
        run.name, max(run.id) AS id, sum(u.waiting)::bigint AS waiting,
        sum(u.delayed)::bigint AS delayed, sum(u.running)::bigint AS running
    FROM unfinished u JOIN l2s.group_run run ON run.id = u.group_id
    WHERE (SELECT l2s.sees_all()) OR run.producer = (SELECT l2s.caller())
    GROUP BY run.name ORDER BY max(run.id) DESC LIMIT groups
), minute AS (
    SELECT run.name, count(*) AS finished
    FROM l2s.result r JOIN l2s.group_run run ON run.id = r.group_id
    WHERE r.finished_at > statement_timestamp() - interval '1 minute' AND NOT r.cancelled
      AND ((SELECT l2s.sees_all()) OR run.producer = (SELECT l2s.caller()))
    GROUP BY run.name
)
SELECT
    g.name, g.waiting, g.delayed, g.running,
    CASE WHEN d.finished <= 1000000 THEN d.succeeded END,
    CASE WHEN d.finished <= 1000000 THEN d.failed END,
    CASE WHEN d.finished <= 1000000 THEN d.cancelled END,
    coalesce(m.finished, 0)
FROM latest g
CROSS JOIN LATERAL (
    SELECT
        count(*) AS finished, count(*) FILTER (WHERE one.succeeded) AS succeeded,
        count(*) FILTER (WHERE NOT one.succeeded AND NOT one.cancelled) AS failed,
        count(*) FILTER (WHERE one.cancelled) AS cancelled
    FROM (
        SELECT r.succeeded, r.cancelled FROM l2s.result r
        WHERE r.group_id = ANY (ARRAY(
            SELECT run.id FROM l2s.group_run run
            WHERE run.name = g.name
              AND ((SELECT l2s.sees_all()) OR run.producer = (SELECT l2s.caller()))))
        LIMIT 1000001) AS one) AS d
LEFT JOIN minute m ON m.name = g.name
ORDER BY g.id DESC
$$;
