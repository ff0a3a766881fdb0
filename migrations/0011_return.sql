-- 11: how documents come back from workers: given back, taken back, and ready again in time.

-- Gives documents of a batch back, uncharged; those that were cancelled end here. Returns how many
-- the lease still held.
CREATE OR REPLACE FUNCTION l2s.release(lease_id bigint, documents bigint[]) RETURNS integer
LANGUAGE plpgsql
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
    IF NOT EXISTS (SELECT FROM l2s.queue q WHERE q.lease_id = lease.id AND q.state = 1) THEN
        PERFORM l2s.close_lease(lease.id, 'released');
    END IF;
    PERFORM l2s.wake();
    RETURN cardinality(held);
END $$;

-- Takes documents back from at most `leases` leases that ran out. The ladder that isolates a poison
-- document from its batch: after one crash in batches of 16, after two alone, after four dead.
-- After a restart of the server a lease has its full time again: its worker could not renew it.
CREATE OR REPLACE FUNCTION l2s.rescue(leases integer DEFAULT 16)
RETURNS TABLE (rescued_leases integer, suspects integer, dead integer)
LANGUAGE plpgsql
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
            lane = CASE q.crashes WHEN 0 THEN 6 ELSE 7 END
        WHERE q.document_id = ANY (held);
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

-- Makes at most `documents` delayed documents ready whose time has come; returns how many. What is
-- tried again keeps its turn; what comes for the first time gets the next of its tenant.
CREATE OR REPLACE FUNCTION l2s.promote(documents integer DEFAULT 1000) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
DECLARE
    due  bigint[] := ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.state = 2 AND q.run_at <= clock_timestamp()
        ORDER BY q.run_at LIMIT promote.documents FOR NO KEY UPDATE SKIP LOCKED);
    flow record;
BEGIN
    IF due = '{}' THEN
        RETURN 0;
    END IF;
    FOR flow IN
        SELECT DISTINCT q.job_type, q.tenant, q.rank FROM l2s.queue q
        WHERE q.document_id = ANY (due) AND q.turn = 0
    LOOP
        UPDATE l2s.queue q SET turn = start.turn + new.ends
        FROM
            (SELECT
                f.document_id, sum(f.tokens) OVER (ORDER BY f.run_at, f.document_id) AS ends
             FROM l2s.queue f
             WHERE f.document_id = ANY (due) AND f.turn = 0 AND f.job_type = flow.job_type
               AND f.tenant = flow.tenant AND f.rank = flow.rank) AS new,
            (SELECT l2s.last_turn(flow.job_type, flow.tenant, flow.rank) AS turn) AS start
        WHERE q.document_id = new.document_id;
    END LOOP;
    UPDATE l2s.queue q SET state = 0 WHERE q.document_id = ANY (due);
    PERFORM l2s.wake();
    RETURN cardinality(due);
END $$;
