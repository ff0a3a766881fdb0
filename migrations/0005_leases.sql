-- 5: workers and their leases: heartbeats, and how documents come back from workers.
--
--   ready --claim--> leased --complete--> result     (succeeded, rejected, or out of attempts)
--                           --complete--> delayed --promote--> ready   (failed, to be retried)
--                           --release---> ready                        (nothing is charged)
--                           --rescue----> ready, as a suspect          (the lease ran out)
--                           --rescue----> result                       (out of crashes)
--
-- A worker owns a document while the lease's row exists and the document's row carries its id. Time
-- only proposes a lease for rescue; row locks decide, in the order lease, then documents by id,
-- everywhere. Only this server's clock counts.

-- Registers a worker's process.
CREATE FUNCTION l2s.register(host text, pid integer, version text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO l2s.worker (host, pid, version)
    VALUES (left(register.host, 255), register.pid, left(register.version, 100)) RETURNING id
$$;

-- Marks a worker as waiting for work, see l2s.wake. l2s.claim takes the mark away.
CREATE FUNCTION l2s.fall_idle(worker_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE l2s.worker w SET idle = true WHERE w.id = fall_idle.worker_id AND NOT w.idle;
END $$;

-- How busy a worker's process is, told with its heartbeats.
CREATE FUNCTION l2s.tell_load(worker_id bigint, load jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Fails here, and not where all loads are shown, when it is none.
    PERFORM FROM jsonb_to_record(load) AS load(
        lanes integer, lanes_busy double precision, documents integer, prepared integer,
        handoff integer, handoff_capacity integer, decoding integer, batch_fill double precision);
    IF octet_length(load::text) > 4096 THEN
        RAISE EXCEPTION 'expected load to have at most 4096 bytes, got %', octet_length(load::text)
            USING ERRCODE = 'string_data_right_truncation';
    END IF;
    UPDATE l2s.worker w SET load = tell_load.load WHERE w.id = tell_load.worker_id;
END $$;

-- Heartbeat: extends the worker's leases and returns those that it still owns, with the documents
-- of theirs that were cancelled since. One that ran out but was not rescued yet is still owned.
-- What a crash of the server would lose of it, the next one makes good: nobody waits for the disk.
CREATE FUNCTION l2s.heartbeat(worker_id bigint, leases bigint[], draining boolean)
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
        RETURNING l.id, l.held)
    SELECT r.id, ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.document_id = ANY (r.held) AND q.lease_id = r.id AND q.cancelled)
    FROM renewed r;
END $$;

-- The end of a worker that stops in order.
CREATE FUNCTION l2s.retire(worker_id bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE l2s.worker w SET idle = false, stopped_at = clock_timestamp()
    WHERE w.id = retire.worker_id
$$;

-- Gives documents of a batch back, uncharged; those that were cancelled end here. Returns how many
-- the lease still held.
CREATE FUNCTION l2s.release(lease_id bigint, documents bigint[]) RETURNS integer
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

-- Takes the documents of one lease back; see l2s.rescue.
CREATE FUNCTION l2s.rescue_lease(lease l2s.lease, OUT suspects integer, OUT dead integer)
LANGUAGE plpgsql
AS $$
DECLARE
    held    bigint[];
    dropped bigint[];
    lost    bigint[];
    stamp   timestamptz;
BEGIN
    -- What somebody deleted by hand has no part that could hold its result.
    DELETE FROM l2s.queue q
    WHERE q.document_id = ANY (lease.held) AND q.lease_id = lease.id AND NOT EXISTS (
        SELECT FROM l2s.document d WHERE d.id = q.document_id);
    held := ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.document_id = ANY (lease.held) AND q.lease_id = lease.id
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
        q.document_id, q.job_type, q.group_id, (SELECT l2s.mark(pg_current_xact_id())), lease.id,
        lease.worker_id, false, q.earlier + q.errors + q.crashes + 1, lease.claimed_at, stamp,
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
        length_class = CASE q.crashes WHEN 0 THEN 6 ELSE 7 END,
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
    suspects := cardinality(held) - cardinality(dropped) - cardinality(lost);
    dead := cardinality(lost);
END $$;

-- Takes documents back from at most `leases` leases that ran out. The ladder that isolates a poison
-- document from its batch: after one crash in batches of 16, after two alone and in any order,
-- after four dead.
-- After a restart of the server a lease has its full time again: its worker could not renew it.
-- Each lease is taken back by itself: one that cannot be is named in `failures` and left for a minute,
-- and the others are.
CREATE FUNCTION l2s.rescue(leases integer DEFAULT 16)
RETURNS TABLE (rescued_leases integer, suspects integer, dead integer, failures text[])
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    lease l2s.lease;
    taken record;
BEGIN
    PERFORM l2s.demand_read_committed();
    rescued_leases := 0; suspects := 0; dead := 0; failures := '{}';
    FOR lease IN
        SELECT l.* FROM l2s.lease l
        WHERE l.expires_at < clock_timestamp()
          AND pg_postmaster_start_time() + l.duration < clock_timestamp()
        ORDER BY l.id LIMIT rescue.leases FOR UPDATE SKIP LOCKED
    LOOP
        BEGIN
            SELECT * INTO taken FROM l2s.rescue_lease(lease);
            rescued_leases := rescued_leases + 1;
            suspects := suspects + taken.suspects;
            dead := dead + taken.dead;
        EXCEPTION WHEN OTHERS THEN
            failures := failures || format('lease %s: %s (%s)', lease.id, SQLERRM, SQLSTATE);
            UPDATE l2s.lease l SET expires_at = clock_timestamp() + interval '1 minute'
            WHERE l.id = lease.id;
        END;
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

-- Makes at most `documents` delayed documents ready whose time has come; returns how many. What is
-- tried again keeps its turn; what comes for the first time gets the next of its tenant.
CREATE FUNCTION l2s.promote(documents integer DEFAULT 1000) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
DECLARE
    -- A variable: what is later than a function that changes from row to row, no index finds.
    stamp CONSTANT timestamptz := clock_timestamp();
    due bigint[] := ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.state = 2 AND q.run_at <= stamp
        ORDER BY q.run_at LIMIT promote.documents FOR NO KEY UPDATE SKIP LOCKED);
BEGIN
    PERFORM l2s.demand_read_committed();
    IF due = '{}' THEN
        RETURN 0;
    END IF;
    WITH first AS MATERIALIZED (
        SELECT
            q.document_id, q.job_type, q.tenant, q.rank, sum(q.tokens) OVER (
                PARTITION BY q.job_type, q.tenant, q.rank ORDER BY q.run_at, q.document_id) AS ends
        FROM l2s.queue q WHERE q.document_id = ANY (due) AND q.turn = 0
    ), flow AS MATERIALIZED (
        SELECT f.job_type, f.tenant, f.rank, l2s.last_turn(f.job_type, f.tenant, f.rank) AS turn
        FROM (SELECT DISTINCT f.job_type, f.tenant, f.rank FROM first f) AS f
    )
    UPDATE l2s.queue q SET turn = flow.turn + first.ends
    FROM first JOIN flow USING (job_type, tenant, rank)
    WHERE q.document_id = first.document_id;
    UPDATE l2s.queue q SET state = 0 WHERE q.document_id = ANY (due);
    PERFORM l2s.wake();
    RETURN cardinality(due);
END $$;
