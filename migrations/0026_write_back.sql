-- 26: claims that list what they take, and write-backs that take what succeeded in one go.
--
-- Write-backs come as an array of rows, which the server reads in a quarter of the time that JSON
-- takes. The texts of a claim are looked up one by one: with many partitions, all that lay between
-- the first and the last id of the batch was read.

DROP INDEX l2s.queue_leased;

-- Takes the next batch: from one lane, at most `documents` of at most `tokens` estimated tokens
-- together, but at least one. traceparent is the metadata's, unread.
CREATE OR REPLACE FUNCTION l2s.claim(
    worker_id bigint, reader text, job_types text[], documents integer, tokens integer,
    duration interval
) RETURNS TABLE (
    lease_id bigint, lane smallint, document_id bigint, job_type text, attempt integer, body text,
    traceparent text
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    reader_id integer;
    type      record;
    type_ids  integer[] := '{}';
    names     text[] := '{}';
    rooms     integer[] := '{}';
    heads     l2s.head[];
    whole     integer[];
    passed    bigint;
    candidate smallint;
    space     integer;
    budget    bigint;
    picked    bigint[] := '{}';
    places    tid[] := '{}';
    taken     bigint[];
    taken_at  tid[];
    spent     bigint;
    lowest    bigint;
    highest   bigint;
    token     bigint;
    stamp     timestamptz := clock_timestamp();
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT r.id INTO reader_id FROM l2s.reader r WHERE r.name = claim.reader;
    FOR type IN
        SELECT o.* FROM l2s.open_job_types(claim.job_types) AS o WHERE o.reader = reader_id
    LOOP
        -- Claims under a limit are made one after the other; who comes second goes without.
        IF type.room IS NOT NULL THEN
            CONTINUE WHEN NOT pg_try_advisory_xact_lock(
                hashoid('l2s.job_type'::regclass), type.id);
            SELECT o.* INTO type
            FROM l2s.open_job_types(claim.job_types) AS o WHERE o.id = type.id;
            CONTINUE WHEN NOT FOUND;
        END IF;
        type_ids := type_ids || type.id;
        names := names || (SELECT t.name FROM l2s.job_type t WHERE t.id = type.id);
        rooms := rooms || type.room;
    END LOOP;

    -- One claim at a time looks from the start where that is due.
    whole := ARRAY(
        SELECT f.job_type FROM l2s.floor f WHERE f.job_type = ANY (type_ids) AND f.look_at <= stamp
        FOR NO KEY UPDATE SKIP LOCKED);
    LOOP
        passed := pg_stat_get_xact_tuples_returned('l2s.queue_ready'::regclass);
        heads := l2s.heads(type_ids, whole);
        passed := pg_stat_get_xact_tuples_returned('l2s.queue_ready'::regclass) - passed;
        FOR candidate IN SELECT l2s.due_lanes(claim.worker_id, heads) LOOP
            space := least(claim.documents, CASE candidate WHEN 6 THEN 16 WHEN 7 THEN 1 END);
            budget := claim.tokens;
            FOR type IN
                SELECT
                    h.*, rooms[array_position(type_ids, h.job_type)] AS room,
                    -- Those of its priority that were not asked yet, itself included.
                    count(*) OVER (
                        PARTITION BY h.rank ORDER BY h.chance
                        ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS peers
                FROM (
                    SELECT first.*, random() AS chance FROM unnest(heads) AS first
                    WHERE first.lane = candidate) AS h
                ORDER BY h.rank, h.chance
            LOOP
                EXIT WHEN space <= 0 OR budget <= 0;
                SELECT
                    coalesce(array_agg(p.document_id), '{}'), array_agg(p.place),
                    coalesce(sum(p.tokens), 0)
                INTO taken, taken_at, spent
                FROM (
                    SELECT
                        locked.document_id, locked.place, locked.tokens,
                        sum(locked.tokens) OVER w AS total, row_number() OVER w AS number
                    FROM (
                        SELECT q.document_id, q.ctid AS place, q.rank, q.turn, q.tokens
                        FROM l2s.queue q
                        WHERE q.state = 0 AND q.job_type = type.job_type AND q.lane = candidate
                          AND (q.rank, q.turn, q.document_id)
                              >= (type.rank, type.turn, type.document_id)
                        ORDER BY q.job_type, q.lane, q.rank, q.turn, q.document_id
                        LIMIT least(type.room, ceil(space::numeric / type.peers))
                        FOR NO KEY UPDATE SKIP LOCKED) AS locked
                    WINDOW w AS (ORDER BY locked.rank, locked.turn, locked.document_id)) AS p
                WHERE p.total <= budget OR (p.number = 1 AND picked = '{}');
                picked := picked || taken;
                places := places || taken_at;
                space := space - cardinality(taken);
                budget := budget - spent;
            END LOOP;
            EXIT WHEN picked <> '{}';
        END LOOP;
        EXIT WHEN picked <> '{}' OR NOT EXISTS (
            SELECT FROM l2s.floor f WHERE f.job_type = ANY (type_ids) AND f.job_type <> ALL (whole));
        whole := type_ids;
    END LOOP;
    IF whole <> '{}' OR passed > 2000 THEN
        PERFORM l2s.move_floors(type_ids, whole, heads, passed, stamp);
    END IF;
    IF picked = '{}' THEN
        RETURN;
    END IF;

    -- The token is time and chance: a sequence could repeat after lost WAL or a failover.
    LOOP
        stamp := clock_timestamp();
        token := (extract(epoch FROM stamp) * 1000)::bigint << 20 | (random() * 1048575)::bigint;
        INSERT INTO l2s.lease (
            id, worker_id, reader, lane, documents, held, claimed_at, duration, expires_at)
        VALUES (
            token, claim.worker_id, reader_id, candidate, cardinality(picked), picked, stamp,
            claim.duration, stamp + claim.duration)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
    END LOOP;
    UPDATE l2s.worker w SET idle = false WHERE w.id = claim.worker_id AND w.idle;
    IF candidate < 6 THEN
        PERFORM l2s.advance_turn(picked[1], stamp);
    END IF;

    SELECT min(p.id), max(p.id) INTO lowest, highest FROM unnest(picked) AS p(id);
    RETURN QUERY
    WITH leased AS (
        UPDATE l2s.queue q SET
            state = 1, lease_id = token, claims = q.claims + 1,
            limited = rooms[array_position(type_ids, q.job_type)] IS NOT NULL
        -- They are locked, so they are still there.
        WHERE q.ctid = ANY (places)
        RETURNING
            q.document_id, q.job_type, q.rank, q.turn,
            q.earlier + q.errors + q.crashes + 1 AS attempt)
    SELECT
        token, candidate, d.id, names[array_position(type_ids, leased.job_type)],
        leased.attempt, d.body, d.metadata ->> 'traceparent'
    FROM leased
    -- Bounds that are known beforehand leave no other partitions to be opened; LIMIT keeps the
    -- planner from reading all that lies between them.
    CROSS JOIN LATERAL (
        SELECT e.* FROM l2s.document e
        WHERE e.id = leased.document_id AND e.id BETWEEN lowest AND highest LIMIT 1) AS d
    ORDER BY leased.rank, leased.turn, d.id;
END $$;

-- A document as l2s.write_back takes it.
CREATE TYPE l2s.finished AS (
    id bigint, outcome text, output text, reason text, mode text, model text, tokens_in integer,
    tokens_out integer, batch_size integer, parts integer, truncated boolean, tokenize_ms real,
    batch_wait_ms real, encode_ms real, handoff_ms real, decode_ms real);

-- As l2s.complete, but returns only the documents whose verdict is not `recorded`. Documents that
-- all succeeded are written here; l2s.complete judges others, and what of these was cancelled, is
-- told again, or is no longer the lease's.
CREATE FUNCTION l2s.write_back(lease_id bigint, documents l2s.finished[])
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
    -- Whoever locks documents does so by id, in one go.
    IF EXISTS (SELECT FROM unnest(documents) AS d WHERE d.outcome <> 'succeeded') THEN
        RETURN QUERY
        SELECT c.* FROM l2s.complete(write_back.lease_id, to_json(documents)) AS c
        WHERE c.verdict <> 'recorded';
        RETURN;
    END IF;
    SELECT l.* INTO lease FROM l2s.lease l WHERE l.id = write_back.lease_id FOR UPDATE;
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
            claimed_at, finished_at, output, mode, model, tokens_in, tokens_out, batch_size, parts,
            truncated, queue_ms, tokenize_ms, batch_wait_ms, encode_ms, handoff_ms, decode_ms,
            writeback_ms)
        SELECT
            w.id, w.job_type, w.group_id, pg_current_xact_id(), lease.id, lease.worker_id, true,
            w.attempt, lease.claimed_at, stamp, w.output, w.mode, w.model, w.tokens_in,
            w.tokens_out, w.batch_size, w.parts, w.truncated, w.queue_ms, w.tokenize_ms,
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
        SELECT c.* FROM l2s.complete(write_back.lease_id, to_json(ARRAY(
            SELECT d FROM unnest(documents) AS d WHERE d.id <> ALL (coalesce(wrote.ids, '{}'))
        ))) AS c
        WHERE c.verdict <> 'recorded';
    END IF;
END $$;

INSERT INTO l2s.permission (role, function) VALUES ('l2s_worker', 'write_back');
