-- 10: the ends of a document, now with cancellation, groups, notifications and a history that keeps
-- the times of every attempt.
--
-- Functions that workers of earlier versions call keep their names and answers, so that these go on
-- while and after this runs; l2s.finish and l2s.renew are here for them only.

-- Tells who asked for it that these documents are finished. The notification takes a lock on the
-- whole cluster when its transaction commits: only for documents that somebody listens for, once per
-- write.
CREATE FUNCTION l2s.announce(documents bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('l2s_done', string_agg(part.id::text, ','))
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
        q.document_id, q.job_type, q.group_id, pg_current_xact_id(), end_cancelled.lease_id,
        end_cancelled.worker_id, false, true,
        q.earlier + q.errors + q.crashes + (end_cancelled.lease_id IS NOT NULL)::integer,
        end_cancelled.claimed_at, clock_timestamp(), 'cancelled',
        extract(epoch FROM end_cancelled.claimed_at - q.run_at) * 1000
    FROM l2s.queue q WHERE q.document_id = ANY (documents);
    PERFORM l2s.announce(ARRAY(
        SELECT q.document_id FROM l2s.queue q WHERE q.document_id = ANY (documents) AND q.notify));
    DELETE FROM l2s.queue q WHERE q.document_id = ANY (documents);
END $$;

-- Moves a lease to the past.
CREATE OR REPLACE FUNCTION l2s.close_lease(lease_id bigint, outcome text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    WITH closed AS (DELETE FROM l2s.lease l WHERE l.id = close_lease.lease_id RETURNING l.*)
    INSERT INTO l2s.batch (
        lease_id, worker_id, reader, lane, documents, claimed_at, closed_at, outcome, succeeded,
        retried, failed, cancelled, tokens_in, tokens_out, tokenize_ms, encode_ms, handoff_ms,
        decode_ms)
    SELECT
        id, worker_id, reader, lane, documents, claimed_at, clock_timestamp(), close_lease.outcome,
        succeeded, retried, failed, cancelled, tokens_in, tokens_out, tokenize_ms, encode_ms,
        handoff_ms, decode_ms
    FROM closed;
END $$;

-- Heartbeat: extends the worker's leases and returns those that it still owns, with the documents
-- of theirs that were cancelled since. One that ran out but was not rescued yet is still owned.
-- What a crash of the server would lose of it, the next one makes good: nobody waits for the disk.
CREATE FUNCTION l2s.heartbeat(worker_id bigint, leases bigint[], draining boolean)
RETURNS TABLE (lease_id bigint, cancelled bigint[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE l2s.worker w SET seen_at = clock_timestamp(), draining = heartbeat.draining
    WHERE w.id = heartbeat.worker_id;

    RETURN QUERY
    WITH renewed AS (
        UPDATE l2s.lease l SET expires_at = clock_timestamp() + l.duration
        WHERE l.id = ANY (heartbeat.leases) AND l.worker_id = heartbeat.worker_id
        RETURNING l.id)
    SELECT r.id, ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.state = 1 AND q.lease_id = r.id AND q.cancelled)
    FROM renewed r;
END $$;

CREATE OR REPLACE FUNCTION l2s.renew(worker_id bigint, leases bigint[], draining boolean)
RETURNS SETOF bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.lease_id FROM l2s.heartbeat(renew.worker_id, renew.leases, renew.draining) AS h
$$;

-- Writes back all or a part of a batch, and closes the lease with its last document. `documents` is
-- an array of the objects that json_to_recordset below spells out. A verdict per document:
--   recorded   its result is written, now or by an earlier call of this lease
--   retried    its failure is, and it will be tried again
--   cancelled  it was cancelled meanwhile, and ends so
--   stale      the lease no longer holds it, nothing was written
CREATE FUNCTION l2s.complete(lease_id bigint, documents json)
RETURNS TABLE (document_id bigint, verdict text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    lease   l2s.lease;
    asked   bigint[] := ARRAY(SELECT (d ->> 'id')::bigint FROM json_array_elements(documents) AS d);
    held    bigint[] := '{}';
    again   bigint[] := '{}';
    dropped bigint[] := '{}';
    heard   bigint[];
    stamp   timestamptz;
BEGIN
    SELECT l.* INTO lease FROM l2s.lease l WHERE l.id = complete.lease_id FOR UPDATE;
    IF FOUND THEN
        held := ARRAY(
            SELECT q.document_id FROM l2s.queue q
            WHERE q.document_id = ANY (asked) AND q.state = 1 AND q.lease_id = lease.id
            ORDER BY q.document_id FOR UPDATE);
        stamp := clock_timestamp();

        WITH reported AS MATERIALIZED (
            SELECT * FROM json_to_recordset(documents) AS (
                id bigint, outcome text, output text, reason text, mode text, model text,
                tokens_in integer, tokens_out integer, batch_size integer, parts integer,
                truncated boolean, tokenize_ms real, batch_wait_ms real, encode_ms real,
                handoff_ms real, decode_ms real)
        ), judged AS MATERIALIZED (
            SELECT
                r.*, q.document_id, q.job_type, q.group_id, q.run_at, q.cancelled, q.notify,
                q.earlier + q.errors + q.crashes + 1 AS attempt,
                r.outcome = 'succeeded' AND NOT q.cancelled AS succeeded,
                q.cancelled OR r.outcome <> 'failed' OR q.errors + 1 >= t.maximum_attempts AS final,
                extract(epoch FROM lease.claimed_at - q.run_at) * 1000 AS queue_ms,
                -- What is left of claim to finish: the stages sum to it.
                extract(epoch FROM stamp - lease.claimed_at) * 1000 - (
                    r.tokenize_ms + r.batch_wait_ms + r.encode_ms + r.handoff_ms + r.decode_ms
                ) AS writeback_ms
            FROM l2s.queue q
            JOIN reported r ON r.id = q.document_id
            JOIN l2s.job_type t ON t.id = q.job_type
            WHERE q.document_id = ANY (held)
        ), results AS (
            INSERT INTO l2s.result (
                document_id, job_type, group_id, written_in, lease_id, worker_id, succeeded,
                cancelled, attempt, claimed_at, finished_at, output, error, mode, model, tokens_in,
                tokens_out, batch_size, parts, truncated, queue_ms, tokenize_ms, batch_wait_ms,
                encode_ms, handoff_ms, decode_ms, writeback_ms)
            SELECT
                j.document_id, j.job_type, j.group_id, pg_current_xact_id(), lease.id,
                lease.worker_id, j.succeeded, j.cancelled, j.attempt, lease.claimed_at, stamp,
                CASE WHEN j.succeeded THEN j.output END,
                CASE WHEN j.cancelled THEN 'cancelled' ELSE j.reason END,
                j.mode, j.model, j.tokens_in, j.tokens_out, j.batch_size, j.parts, j.truncated,
                j.queue_ms, j.tokenize_ms, j.batch_wait_ms, j.encode_ms, j.handoff_ms, j.decode_ms,
                j.writeback_ms
            FROM judged j WHERE j.final
        ), removed AS (
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
            coalesce(array_agg(j.document_id) FILTER (WHERE NOT j.final), '{}'),
            coalesce(array_agg(j.document_id) FILTER (WHERE j.cancelled), '{}'),
            array_agg(j.document_id) FILTER (WHERE j.final AND j.notify)
        INTO again, dropped, heard
        FROM judged j;
        IF heard IS NOT NULL THEN
            PERFORM l2s.announce(heard);
        END IF;

        IF NOT EXISTS (
            SELECT FROM l2s.queue q WHERE q.lease_id = lease.id AND q.state = 1
        ) THEN
            PERFORM l2s.close_lease(lease.id, 'finished');
        END IF;
    END IF;

    RETURN QUERY
    SELECT a.id, CASE
        WHEN a.id = ANY (again) THEN 'retried'
        WHEN a.id = ANY (dropped) OR r.cancelled THEN 'cancelled'
        WHEN a.id = ANY (held) THEN 'recorded'
        WHEN e.kind = 'crashed' THEN 'stale'  -- by l2s.rescue, in this lease's name
        WHEN r.cancelled IS NOT NULL THEN 'recorded'
        WHEN e.kind IS NOT NULL THEN 'retried'
        ELSE 'stale' END
    FROM unnest(asked) AS a(id)
    -- LIMIT keeps the planner from ever scanning these tables.
    LEFT JOIN LATERAL (
        SELECT f.kind FROM l2s.attempt_error f
        WHERE f.document_id = a.id AND f.lease_id = complete.lease_id
          AND a.id <> ALL (held) LIMIT 1) AS e ON true
    LEFT JOIN LATERAL (
        SELECT s.cancelled FROM l2s.result s
        WHERE s.document_id = a.id AND s.lease_id = complete.lease_id
          AND a.id <> ALL (held) LIMIT 1) AS r ON true;
END $$;

CREATE OR REPLACE FUNCTION l2s.finish(lease_id bigint, documents json)
RETURNS TABLE (document_id bigint, verdict text)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.document_id, CASE c.verdict WHEN 'stale' THEN 'stale' ELSE 'recorded' END
    FROM l2s.complete(finish.lease_id, finish.documents) AS c
$$;
