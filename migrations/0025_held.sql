-- 25: leases that know their documents.
--
-- So that the queue needs no index by lease, half of what claims wrote to indexes. Here whatever
-- asks a lease for its documents learns to read its list; the next step begins to write lists.

ALTER TABLE l2s.lease ADD COLUMN held bigint[];
COMMENT ON COLUMN l2s.lease.held IS
    'The documents that it holds. Null when it is older than schema version 26.';

-- The documents of a lease. Of one that does not list them the whole queue is read once its index
-- by lease is gone: that is rare, and over with the lease.
CREATE FUNCTION l2s.held_by(lease l2s.lease) RETURNS bigint[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF lease.held IS NOT NULL THEN
        RETURN lease.held;
    END IF;
    RETURN ARRAY(
        SELECT q.document_id FROM l2s.queue q WHERE q.state = 1 AND q.lease_id = lease.id);
END $$;

-- Takes documents off a lease. With the last of them it moves to the past.
CREATE FUNCTION l2s.let_go(lease_id bigint, documents bigint[], outcome text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    rest bigint[];
BEGIN
    UPDATE l2s.lease l SET held = ARRAY(
        SELECT h.id FROM unnest(l2s.held_by(l)) AS h(id) EXCEPT
        SELECT d.id FROM unnest(let_go.documents) AS d(id))
    WHERE l.id = let_go.lease_id RETURNING l.held INTO rest;
    IF rest = '{}' THEN
        PERFORM l2s.close_lease(let_go.lease_id, let_go.outcome);
    END IF;
END $$;

-- Heartbeat: extends the worker's leases and returns those that it still owns, with the documents
-- of theirs that were cancelled since. One that ran out but was not rescued yet is still owned.
-- What a crash of the server would lose of it, the next one makes good: nobody waits for the disk.
CREATE OR REPLACE FUNCTION l2s.heartbeat(worker_id bigint, leases bigint[], draining boolean)
RETURNS TABLE (lease_id bigint, cancelled bigint[])
LANGUAGE plpgsql SECURITY DEFINER
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
        RETURNING l.id, l2s.held_by(l) AS held)
    SELECT r.id, ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.document_id = ANY (r.held) AND q.lease_id = r.id AND q.cancelled)
    FROM renewed r;
END $$;

-- Gives documents of a batch back, uncharged; those that were cancelled end here. Returns how many
-- the lease still held.
CREATE OR REPLACE FUNCTION l2s.release(lease_id bigint, documents bigint[]) RETURNS integer
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
    SELECT l.* INTO lease FROM l2s.lease l WHERE l.id = release.lease_id FOR UPDATE;
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
            WHERE q.document_id = ANY (l2s.held_by(lease)) AND q.lease_id = lease.id
            ORDER BY q.document_id FOR UPDATE);
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

-- Writes back all or a part of a batch, and closes the lease with its last document. `documents` is
-- an array of the objects that json_to_recordset below spells out. A verdict per document:
--   recorded   its result is written, now or by an earlier call of this lease
--   retried    its failure is, and it will be tried again
--   cancelled  it was cancelled meanwhile, and ends so
--   stale      the lease no longer holds it, nothing was written
CREATE OR REPLACE FUNCTION l2s.complete(lease_id bigint, documents json)
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
    SELECT l.* INTO lease FROM l2s.lease l WHERE l.id = complete.lease_id FOR UPDATE;
    IF FOUND THEN
        stamp := clock_timestamp();
        WITH reported AS MATERIALIZED (
            SELECT * FROM json_to_recordset(documents) AS (
                id bigint, outcome text, output text, reason text, mode text, model text,
                tokens_in integer, tokens_out integer, batch_size integer, parts integer,
                truncated boolean, tokenize_ms real, batch_wait_ms real, encode_ms real,
                handoff_ms real, decode_ms real)
        ), held AS MATERIALIZED (
            SELECT
                r.*, q.document_id, q.job_type, q.group_id, q.run_at, q.cancelled, q.notify,
                q.earlier, q.errors, q.crashes, q.ctid AS place
            FROM reported r
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
            -- They are locked, so they are still there.
            DELETE FROM l2s.queue q
            WHERE q.ctid = ANY (ARRAY(SELECT j.place FROM judged j WHERE j.final))
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
        FROM reported r LEFT JOIN judged j ON j.document_id = r.id;
        IF heard IS NOT NULL THEN
            PERFORM l2s.announce(heard);
        END IF;

        PERFORM l2s.let_go(lease.id, held, 'finished');

        RETURN QUERY
        SELECT h.id, CASE
            WHEN h.id = ANY (again) THEN 'retried'
            WHEN h.id = ANY (dropped) THEN 'cancelled'
            ELSE 'recorded' END
        FROM unnest(held) AS h(id);
    ELSE
        others := ARRAY(SELECT d.id FROM json_to_recordset(documents) AS d(id bigint));
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
            WHERE f.document_id = o.id AND f.lease_id = complete.lease_id LIMIT 1) AS e ON true
        LEFT JOIN LATERAL (
            SELECT s.cancelled FROM l2s.result s
            WHERE s.document_id = o.id AND s.lease_id = complete.lease_id LIMIT 1) AS r ON true;
    END IF;
END $$;
