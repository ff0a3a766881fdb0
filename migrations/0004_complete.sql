-- 4: the end of a document: l2s.complete writes back what became of a batch, or of a part of it.
--
-- Documents come as an array of rows, which the server reads in a quarter of the time that JSON takes.

-- Tells who asked for it that these documents are finished. The notification takes a lock on the
-- whole cluster when its transaction commits: only for documents that somebody listens for, once per
-- write.
CREATE FUNCTION l2s.announce(documents bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM l2s.notify('l2s_done', string_agg(part.id::text, ','))
    FROM (
        -- A payload has less than 8,000 bytes.
        SELECT a.id, (a.number - 1) / 300 AS part
        FROM unnest(documents) WITH ORDINALITY AS a(id, number)) AS part
    GROUP BY part.part;
END $$;

-- Writes documents off as cancelled and takes them out of the queue. The caller holds their locks.
CREATE FUNCTION l2s.end_cancelled(
    documents bigint[], lease_id bigint, worker_id bigint, claimed_at timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO l2s.result (
        document_id, job_type, group_id, written_in, lease_id, worker_id, succeeded, cancelled,
        attempt, claimed_at, finished_at, error, queue_ms)
    SELECT
        q.document_id, q.job_type, q.group_id, (SELECT l2s.mark(pg_current_xact_id())),
        end_cancelled.lease_id, end_cancelled.worker_id, false, true,
        q.earlier + q.errors + q.crashes + (end_cancelled.lease_id IS NOT NULL)::integer,
        end_cancelled.claimed_at, clock_timestamp(), 'cancelled',
        extract(epoch FROM end_cancelled.claimed_at - q.run_at) * 1000
    FROM l2s.queue q WHERE q.document_id = ANY (documents);
    PERFORM l2s.announce(ARRAY(
        SELECT q.document_id FROM l2s.queue q WHERE q.document_id = ANY (documents) AND q.notify));
    DELETE FROM l2s.queue q WHERE q.document_id = ANY (documents);
    -- Who enqueues the same again means it.
    DELETE FROM l2s.dedupe d WHERE d.document_id = ANY (documents);
END $$;

-- Moves a lease to the past.
CREATE FUNCTION l2s.close_lease(lease_id bigint, outcome text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    WITH closed AS (DELETE FROM l2s.lease l WHERE l.id = close_lease.lease_id RETURNING l.*)
    INSERT INTO l2s.batch (
        lease_id, worker_id, encoder, length_class, documents, claimed_at, closed_at, outcome, succeeded,
        retried, failed, cancelled, tokens_in, tokens_out, tokenize_ms, encode_ms, handoff_ms,
        decode_ms)
    SELECT
        id, worker_id, encoder, length_class, documents, claimed_at, clock_timestamp(), close_lease.outcome,
        succeeded, retried, failed, cancelled, tokens_in, tokens_out, tokenize_ms, encode_ms,
        handoff_ms, decode_ms
    FROM closed;
END $$;

-- Takes documents off a lease. With the last of them it moves to the past.
CREATE FUNCTION l2s.let_go(lease_id bigint, documents bigint[], outcome text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    rest bigint[];
BEGIN
    UPDATE l2s.lease l SET held = ARRAY(
        SELECT h.id FROM unnest(l.held) AS h(id) EXCEPT
        SELECT d.id FROM unnest(let_go.documents) AS d(id))
    WHERE l.id = let_go.lease_id RETURNING l.held INTO rest;
    IF rest = '{}' THEN
        PERFORM l2s.close_lease(let_go.lease_id, let_go.outcome);
    END IF;
END $$;

-- A document as l2s.complete takes it.
CREATE TYPE l2s.completion AS (
    id bigint, outcome text, output text, reason text, mode text, model text, tokens_in integer,
    tokens_out integer, batch_size integer, shared boolean, parts integer, truncated boolean,
    cut_off integer, tokenize_ms real, batch_wait_ms real, encode_ms real, handoff_ms real, decode_ms real);

-- Judges each document by itself: it failed, was cancelled, is told again, or is no longer the
-- lease's. See l2s.complete for the verdicts.
CREATE FUNCTION l2s.complete_each(lease_id bigint, documents l2s.completion[])
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
    SELECT l.* INTO lease FROM l2s.lease l WHERE l.id = complete_each.lease_id FOR UPDATE;
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
            WHERE f.document_id = o.id AND f.lease_id = complete_each.lease_id LIMIT 1) AS e ON true
        LEFT JOIN LATERAL (
            SELECT s.cancelled FROM l2s.result s
            WHERE s.document_id = o.id AND s.lease_id = complete_each.lease_id LIMIT 1) AS r ON true;
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
CREATE FUNCTION l2s.complete(lease_id bigint, documents l2s.completion[])
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
        SELECT c.* FROM l2s.complete_each(complete.lease_id, documents) AS c
        WHERE c.verdict <> 'recorded';
        RETURN;
    END IF;
    SELECT l.* INTO lease FROM l2s.lease l WHERE l.id = complete.lease_id FOR UPDATE;
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
        SELECT c.* FROM l2s.complete_each(complete.lease_id, ARRAY(
            SELECT d FROM unnest(documents) AS d WHERE d.id <> ALL (coalesce(wrote.ids, '{}'))
        )) AS c
        WHERE c.verdict <> 'recorded';
    END IF;
END $$;
