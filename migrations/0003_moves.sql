-- 3: the moves of a document between enqueue and result.
--
--   ready --claim--> leased --finish--> result      (succeeded, rejected, or out of attempts)
--                           --finish--> delayed --promote--> ready    (failed, to be retried)
--                           --release-> ready                         (nothing is charged)
--                           --rescue--> ready, as a suspect           (the lease ran out)
--                           --rescue--> result                        (out of crashes)
--
-- Ownership: the lease row exists and the document's row carries its id. Time only proposes a lease
-- for rescue; row locks decide, in the order lease, then documents by id, everywhere. Only this
-- server's clock counts. The planner settings on the functions keep every plan on its index, with
-- empty statistics too; jit is off because a raised cost limit would set it off.

-- Moves a lease to the past.
CREATE FUNCTION l2s.close_lease(lease_id bigint, outcome text) RETURNS void
LANGUAGE sql AS $$
    WITH closed AS (DELETE FROM l2s.lease l WHERE l.id = close_lease.lease_id RETURNING l.*)
    INSERT INTO l2s.batch (
        lease_id, worker_id, reader, lane, documents, claimed_at, closed_at, outcome)
    SELECT
        id, worker_id, reader, lane, documents, claimed_at, clock_timestamp(), close_lease.outcome
    FROM closed
$$;

-- Lanes that the worker may claim from now, the one whose first document is due first in front.
-- Suspects are only given to a worker that holds nothing else, and nothing else to one that holds
-- suspects: when it crashes, it was one of them. So a busy worker may get nothing although there is
-- work, until it has finished what it holds.
CREATE FUNCTION l2s.due_lanes(worker_id bigint, reader integer, job_types integer[])
RETURNS SETOF smallint
LANGUAGE sql STABLE AS $$
    WITH holding AS (
        SELECT count(*) > 0 AS anything, coalesce(bool_or(l.lane >= 6), false) AS suspects
        FROM l2s.lease l WHERE l.worker_id = due_lanes.worker_id
    ), due AS (
        SELECT
            lanes.lane::smallint AS lane,
            row_number() OVER (ORDER BY first.rank, first.document_id) AS place
        FROM generate_series(0, 7) AS lanes(lane)
        CROSS JOIN LATERAL (
            SELECT q.rank, q.document_id FROM l2s.queue q
            WHERE q.state = 0 AND q.reader = due_lanes.reader AND q.lane = lanes.lane
              AND q.job_type = ANY (due_lanes.job_types)
            ORDER BY q.reader, q.lane, q.rank, q.document_id LIMIT 1) AS first
    )
    SELECT due.lane FROM due, holding
    WHERE NOT holding.suspects
      AND (NOT holding.anything
           OR due.place < ALL (SELECT d.place FROM due d WHERE d.lane >= 6))
    ORDER BY due.place
$$;

-- Takes the next batch: from one lane, in order of priority and age, at most `documents` of at most
-- `tokens` estimated tokens together, but at least one.
CREATE FUNCTION l2s.claim(
    worker_id bigint, reader text, job_types text[], documents integer, tokens integer,
    duration interval
) RETURNS TABLE (
    lease_id bigint, lane smallint, document_id bigint, job_type text, attempt integer, body text
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
    SELECT token, candidate, d.id, t.name, leased.attempt, d.body
    FROM leased
    JOIN l2s.document d ON d.id = leased.document_id
    JOIN l2s.job_type t ON t.id = leased.job_type
    ORDER BY leased.rank, d.id;
END $$;

-- True when l2s.claim would find something for these job types.
CREATE FUNCTION l2s.has_work(worker_id bigint, job_types text[]) RETURNS boolean
LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
    SELECT EXISTS (
        SELECT FROM (
            SELECT t.reader, array_agg(t.id) AS ids FROM l2s.job_type t
            WHERE t.name = ANY (has_work.job_types) AND NOT t.paused GROUP BY t.reader) AS known
        CROSS JOIN LATERAL l2s.due_lanes(has_work.worker_id, known.reader, known.ids))
$$;

-- The end of a worker that stops in order.
CREATE FUNCTION l2s.retire(worker_id bigint) RETURNS void
LANGUAGE sql AS $$
    UPDATE l2s.worker w SET idle = false, stopped_at = clock_timestamp()
    WHERE w.id = retire.worker_id
$$;

-- Heartbeat: extends the worker's leases and returns those that it still owns. One that ran out
-- but was not rescued yet is still owned.
CREATE FUNCTION l2s.renew(worker_id bigint, leases bigint[], draining boolean) RETURNS SETOF bigint
LANGUAGE sql
SET enable_seqscan = off SET jit = off
AS $$
    UPDATE l2s.worker w SET seen_at = clock_timestamp(), draining = renew.draining
    WHERE w.id = renew.worker_id;

    UPDATE l2s.lease l SET expires_at = clock_timestamp() + l.duration
    WHERE l.id = ANY (renew.leases) AND l.worker_id = renew.worker_id
    RETURNING l.id;
$$;

-- Writes back all or a part of a batch, and closes the lease with its last document. `documents` is
-- an array of the objects that json_to_recordset below spells out. A verdict per document:
--   recorded   written now
--   repeated   had been written by this lease: the caller did not hear of it and asks again
--   stale      the lease no longer holds it, nothing was written
CREATE FUNCTION l2s.finish(lease_id bigint, documents json)
RETURNS TABLE (document_id bigint, verdict text)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    lease l2s.lease;
    asked bigint[] := ARRAY(SELECT (d ->> 'id')::bigint FROM json_array_elements(documents) AS d);
    held  bigint[] := '{}';
    stamp timestamptz;
BEGIN
    SELECT l.* INTO lease FROM l2s.lease l WHERE l.id = finish.lease_id FOR UPDATE;
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
                r.*, q.document_id, q.job_type, q.run_at, q.errors + q.crashes + 1 AS attempt,
                r.outcome <> 'failed' OR q.errors + 1 >= t.maximum_attempts AS final
            FROM l2s.queue q
            JOIN reported r ON r.id = q.document_id
            JOIN l2s.job_type t ON t.id = q.job_type
            WHERE q.document_id = ANY (held)
        ), results AS (
            INSERT INTO l2s.result (
                document_id, job_type, lease_id, worker_id, succeeded, attempt, claimed_at,
                finished_at, output, error, mode, model, tokens_in, tokens_out, batch_size, parts,
                truncated, queue_ms, tokenize_ms, batch_wait_ms, encode_ms, handoff_ms, decode_ms,
                writeback_ms)
            SELECT
                j.document_id, j.job_type, lease.id, lease.worker_id, j.outcome = 'succeeded',
                j.attempt, lease.claimed_at, stamp, j.output, j.reason, j.mode, j.model,
                j.tokens_in, j.tokens_out, j.batch_size, j.parts, j.truncated,
                extract(epoch FROM lease.claimed_at - j.run_at) * 1000,
                j.tokenize_ms, j.batch_wait_ms, j.encode_ms, j.handoff_ms, j.decode_ms,
                -- What is left of claim to finish: the stages sum to it.
                extract(epoch FROM stamp - lease.claimed_at) * 1000 - (
                    j.tokenize_ms + j.batch_wait_ms + j.encode_ms + j.handoff_ms + j.decode_ms)
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
        )
        INSERT INTO l2s.attempt_error (
            document_id, attempt, lease_id, worker_id, kind, failed_at, reason)
        SELECT j.document_id, j.attempt, lease.id, lease.worker_id, j.outcome, stamp, j.reason
        FROM judged j WHERE j.outcome <> 'succeeded';

        IF NOT EXISTS (
            SELECT FROM l2s.queue q WHERE q.lease_id = lease.id AND q.state = 1
        ) THEN
            PERFORM l2s.close_lease(lease.id, 'finished');
        END IF;
    END IF;

    RETURN QUERY
    SELECT a.id, CASE
        WHEN a.id = ANY (held) THEN 'recorded'
        WHEN e.kind = 'crashed' THEN 'stale'  -- by l2s.rescue, in this lease's name
        WHEN e.kind IS NOT NULL OR r.succeeded THEN 'repeated'
        ELSE 'stale' END
    FROM unnest(asked) AS a(id)
    -- LIMIT keeps the planner from ever scanning these tables.
    LEFT JOIN LATERAL (
        SELECT f.kind FROM l2s.attempt_error f
        WHERE f.document_id = a.id AND f.lease_id = finish.lease_id
          AND a.id <> ALL (held) LIMIT 1) AS e ON true
    LEFT JOIN LATERAL (
        SELECT s.succeeded FROM l2s.result s
        WHERE s.document_id = a.id AND s.lease_id = finish.lease_id
          AND a.id <> ALL (held) LIMIT 1) AS r ON true;
END $$;

-- Gives documents of a batch back, uncharged. Returns how many the lease still held.
CREATE FUNCTION l2s.release(lease_id bigint, documents bigint[]) RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    lease l2s.lease;
    held  bigint[];
BEGIN
    SELECT l.* INTO lease FROM l2s.lease l WHERE l.id = release.lease_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    held := ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.document_id = ANY (release.documents) AND q.state = 1 AND q.lease_id = lease.id
        ORDER BY q.document_id FOR UPDATE);
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
CREATE FUNCTION l2s.rescue(leases integer DEFAULT 16)
RETURNS TABLE (rescued_leases integer, suspects integer, dead integer)
LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    lease l2s.lease;
    held  bigint[];
    lost  bigint[];
    stamp timestamptz;
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
        lost := ARRAY(
            SELECT q.document_id FROM l2s.queue q
            WHERE q.document_id = ANY (held) AND q.crashes + 1 >= 4);
        stamp := clock_timestamp();

        INSERT INTO l2s.attempt_error (
            document_id, attempt, lease_id, worker_id, kind, failed_at, reason)
        SELECT
            q.document_id, q.errors + q.crashes + 1, lease.id, lease.worker_id, 'crashed', stamp,
            'the worker was not heard of again'
        FROM l2s.queue q WHERE q.document_id = ANY (held);

        INSERT INTO l2s.result (
            document_id, job_type, lease_id, worker_id, succeeded, attempt, claimed_at,
            finished_at, error, queue_ms)
        SELECT
            q.document_id, q.job_type, lease.id, lease.worker_id, false,
            q.errors + q.crashes + 1, lease.claimed_at, stamp,
            format(
                '%s workers were not heard of again, the last two of them with this document alone',
                q.crashes + 1),
            extract(epoch FROM lease.claimed_at - q.run_at) * 1000
        FROM l2s.queue q WHERE q.document_id = ANY (lost);
        DELETE FROM l2s.queue q WHERE q.document_id = ANY (lost);

        UPDATE l2s.queue q SET
            state = 0, lease_id = NULL, run_at = stamp, crashes = q.crashes + 1,
            lane = CASE q.crashes WHEN 0 THEN 6 ELSE 7 END
        WHERE q.document_id = ANY (held);
        PERFORM l2s.close_lease(lease.id, 'expired');

        rescued_leases := rescued_leases + 1;
        suspects := suspects + cardinality(held) - cardinality(lost);
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

-- Makes at most `documents` delayed documents ready whose time has come; returns how many.
CREATE FUNCTION l2s.promote(documents integer DEFAULT 1000) RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
    due bigint[] := ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.state = 2 AND q.run_at <= clock_timestamp()
        ORDER BY q.run_at LIMIT promote.documents FOR NO KEY UPDATE SKIP LOCKED);
BEGIN
    UPDATE l2s.queue q SET state = 0 WHERE q.document_id = ANY (due);
    IF due <> '{}' THEN
        PERFORM l2s.wake();
    END IF;
    RETURN cardinality(due);
END $$;
