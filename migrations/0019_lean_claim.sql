-- 19: claims with less processor time, which do not slow down while a snapshot is held.
--
-- Half of a claim of 64 documents was planning: statements with arrays were planned anew in every
-- call, and for every partition. Now they are planned once in a connection, a claim looks at the
-- index once, and rows that it locked are found again by their place. Nor do claims wait for the
-- disk: what a crash of the server would lose of one are documents that are ready again, and a lease
-- that no write can prove.
--
-- Vacuum cannot remove what a snapshot may still see, so while one is held, the index of what is
-- ready begins with ever more entries of documents that are not. Once a claim meets too many of
-- them, claims begin at a floor: where the first ready document lay at the last look. What came to
-- lie before it since - a higher priority, documents given back - is found when a claim looks from
-- the start again: after a time in proportion to what that costs, or before it finds nothing.

-- Unlogged: after a crash there is none, and claims look from the start.
CREATE UNLOGGED TABLE l2s.floor (
    job_type integer PRIMARY KEY,
    rank     smallint NOT NULL,
    turn     bigint NOT NULL,
    moved_at timestamptz NOT NULL,
    look_at  timestamptz NOT NULL
) WITH (fillfactor = 40);
COMMENT ON TABLE l2s.floor IS
    'Where claims begin to look for what is ready, until look_at. Empty while dead rows are few.';

-- heads and due_lanes of step 9 stay for claims that are under way now; a later step may drop them.
CREATE TYPE l2s.head AS (
    job_type integer, lane smallint, rank smallint, turn bigint, document_id bigint);

-- The first document of each job type in each lane; but for suspects and for the job types in
-- `whole`, above the floor.
CREATE FUNCTION l2s.heads(job_types integer[], whole integer[]) RETURNS l2s.head[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT first.head FROM unnest(heads.job_types) AS types(id)
        LEFT JOIN l2s.floor f ON f.job_type = types.id AND f.job_type <> ALL (heads.whole)
        CROSS JOIN generate_series(0, 7) AS lanes(lane)
        CROSS JOIN LATERAL (
            SELECT (q.job_type, q.lane, q.rank, q.turn, q.document_id)::l2s.head AS head
            FROM l2s.queue q
            WHERE q.state = 0 AND q.job_type = types.id AND q.lane = lanes.lane
              AND (q.rank, q.turn) >= (
                  CASE WHEN lanes.lane < 6 THEN coalesce(f.rank, -32768) ELSE -32768 END::smallint,
                  coalesce(f.turn, 0))
            ORDER BY q.job_type, q.lane, q.rank, q.turn, q.document_id LIMIT 1) AS first);
END $$;

-- Lanes that the worker may claim from now, the one due first in front; of several job types that
-- are due alike, one by chance.
-- Suspects are only given to a worker that holds nothing else, and nothing else to one that holds
-- suspects: when it crashes, it was one of them. So a busy worker may get nothing although there is
-- work, until it has finished what it holds.
CREATE FUNCTION l2s.due_lanes(worker_id bigint, heads l2s.head[]) RETURNS SETOF smallint
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH holding AS (
        SELECT count(*) > 0 AS anything, coalesce(bool_or(l.lane >= 6), false) AS suspects
        FROM l2s.lease l WHERE l.worker_id = due_lanes.worker_id
    ), head AS MATERIALIZED (
        SELECT
            h.lane, h.rank, h.lane >= 6 AS is_suspect,
            row_number() OVER (
                PARTITION BY h.job_type ORDER BY h.rank, h.lane < 6, h.turn, h.document_id) AS place
        FROM unnest(due_lanes.heads) AS h
    )
    SELECT h.lane FROM head h, holding
    WHERE NOT holding.suspects
      AND (NOT holding.anything
           OR h.rank < ALL (SELECT s.rank FROM head s WHERE s.is_suspect))
    GROUP BY h.lane
    ORDER BY min(h.rank), h.lane < 6, min(h.place), random();
END $$;

-- Moves the floors of job types to the heads that a claim has just seen; where none is left, to
-- where the last were claimed. `passed`: the index entries that it met. Whoever finds a floor in use
-- leaves it.
CREATE FUNCTION l2s.move_floors(
    job_types integer[], whole integer[], heads l2s.head[], passed bigint, stamp timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- Looks from the start take a twentieth of a worker's time at most, at 1 µs an entry.
    rest interval := greatest(interval '1 second', passed * interval '20 microseconds');
BEGIN
    IF passed < 2000 THEN
        DELETE FROM l2s.floor f WHERE f.job_type = ANY (ARRAY(
            SELECT g.job_type FROM l2s.floor g WHERE g.job_type = ANY (whole)
            FOR UPDATE SKIP LOCKED));
        RETURN;
    END IF;
    WITH free AS (
        SELECT f.job_type FROM l2s.floor f
        WHERE f.job_type = ANY (move_floors.job_types)
          AND (f.job_type = ANY (whole) OR f.moved_at < stamp - interval '500 milliseconds')
        FOR NO KEY UPDATE SKIP LOCKED
    ), missing AS (
        SELECT t.job_type FROM unnest(move_floors.job_types) AS t(job_type)
        WHERE NOT EXISTS (SELECT FROM l2s.floor f WHERE f.job_type = t.job_type)
    )
    INSERT INTO l2s.floor AS f (job_type, rank, turn, moved_at, look_at)
    SELECT t.job_type, place.rank, place.turn, stamp, stamp + rest
    FROM (SELECT * FROM free UNION ALL SELECT * FROM missing) AS t
    CROSS JOIN LATERAL (
        SELECT p.rank, p.turn FROM (
            (SELECT 1 AS preference, h.rank, h.turn FROM unnest(heads) AS h
             WHERE h.job_type = t.job_type AND h.lane < 6 ORDER BY h.rank, h.turn LIMIT 1)
            UNION ALL
            (SELECT 2, u.rank, u.turn FROM l2s.turn u
             WHERE u.job_type = t.job_type ORDER BY u.rank DESC LIMIT 1)) AS p
        ORDER BY p.preference LIMIT 1) AS place
    ORDER BY t.job_type
    ON CONFLICT (job_type) DO UPDATE SET
        rank = excluded.rank, turn = excluded.turn, moved_at = excluded.moved_at,
        look_at = CASE
            WHEN f.job_type = ANY (whole) THEN excluded.look_at ELSE f.look_at END;
END $$;

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
            id, worker_id, reader, lane, documents, claimed_at, duration, expires_at)
        VALUES (
            token, claim.worker_id, reader_id, candidate, cardinality(picked), stamp,
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
    -- Bounds that are known beforehand leave no other partitions to be opened.
    JOIN l2s.document d ON d.id = leased.document_id AND d.id BETWEEN lowest AND highest
    ORDER BY leased.rank, leased.turn, d.id;
END $$;

-- True when l2s.claim would find something for these job types.
CREATE OR REPLACE FUNCTION l2s.has_work(worker_id bigint, job_types text[]) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM (
            SELECT array_agg(o.id) AS ids FROM l2s.open_job_types(has_work.job_types) AS o
            GROUP BY o.reader) AS known
        CROSS JOIN LATERAL l2s.due_lanes(has_work.worker_id, l2s.heads(known.ids, known.ids)));
END $$;
