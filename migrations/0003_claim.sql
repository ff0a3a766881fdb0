-- 3: how documents get out: l2s.claim takes the next batch of a worker.
--
-- Job types of one encoder share a batch in equal parts; within a job type the order is priority, then
-- turn. Statements are planned once in a connection, a claim looks at the index once, and rows that it
-- locked are found again by their place. Claims do not wait for the disk: what a crash of the server
-- would lose of one are documents that are ready again, and a lease that no write can prove.
--
-- Vacuum cannot remove what a snapshot may still see, so while one is held, the index of what is
-- ready begins with ever more entries of documents that are not. Once a claim meets too many of
-- them, claims begin at a floor: where the first ready document lay at the last look. What came to
-- lie before it since - a higher priority, documents given back - is found when a claim looks from
-- the start again: after a time in proportion to what that costs, or before it finds nothing.

CREATE TYPE l2s.head AS (
    job_type integer, length_class smallint, rank smallint, turn bigint, document_id bigint);

-- The job types among `names` of which a claim may take documents, and how many.
CREATE FUNCTION l2s.open_job_types(names text[])
RETURNS TABLE (id integer, encoder integer, room integer)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT * FROM (
        SELECT t.id, t.encoder, t.concurrent_documents - CASE
            WHEN t.concurrent_documents IS NOT NULL THEN (
                SELECT count(*) FROM l2s.queue q
                WHERE q.limited AND q.state = 1 AND q.job_type = t.id)::integer END AS room
        FROM l2s.job_type t
        WHERE t.name = ANY (names) AND NOT t.paused
          AND NOT (SELECT s.paused FROM l2s.setting s)) AS candidate
    WHERE candidate.room IS NULL OR candidate.room > 0;
END $$;

-- The first document of each job type in each length class: above the floor, except for suspects and
-- for the job types in `whole`.
CREATE FUNCTION l2s.heads(job_types integer[], whole integer[]) RETURNS l2s.head[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT first.head FROM unnest(heads.job_types) AS types(id)
        LEFT JOIN l2s.floor f ON f.job_type = types.id AND f.job_type <> ALL (heads.whole)
        CROSS JOIN generate_series(0, 7) AS classes(class)
        CROSS JOIN LATERAL (
            SELECT (q.job_type, q.length_class, q.rank, q.turn, q.document_id)::l2s.head AS head
            FROM l2s.queue q
            WHERE q.state = 0 AND q.job_type = types.id AND q.length_class = classes.class
              AND (q.rank, q.turn) >= (
                  CASE WHEN classes.class < 6 THEN coalesce(f.rank, -32768) ELSE -32768 END::smallint,
                  coalesce(f.turn, 0))
            ORDER BY q.job_type, q.length_class, q.rank, q.turn, q.document_id LIMIT 1) AS first);
END $$;

-- The length classes that the worker may claim from now, the one due first in front. Among several job
-- types that are due alike, chance decides.
-- Suspects only go to a worker that holds nothing else, and nothing else goes to one that holds them:
-- when it crashes, it was one of them. So a busy worker may get nothing until it has finished.
CREATE FUNCTION l2s.due_length_classes(worker_id bigint, heads l2s.head[]) RETURNS SETOF smallint
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH holding AS (
        SELECT count(*) > 0 AS anything, coalesce(bool_or(l.length_class >= 6), false) AS suspects
        FROM l2s.lease l WHERE l.worker_id = due_length_classes.worker_id
    ), head AS MATERIALIZED (
        SELECT
            h.length_class, h.rank, h.length_class >= 6 AS is_suspect,
            row_number() OVER (
                PARTITION BY h.job_type ORDER BY h.rank, h.length_class < 6, h.turn, h.document_id) AS place
        FROM unnest(due_length_classes.heads) AS h
    )
    SELECT h.length_class FROM head h, holding
    WHERE NOT holding.suspects
      AND (NOT holding.anything
           OR h.rank < ALL (SELECT s.rank FROM head s WHERE s.is_suspect))
    GROUP BY h.length_class
    ORDER BY min(h.rank), h.length_class < 6, min(h.place), random();
END $$;

-- Moves the floors of job types to the heads that a claim has just seen; where none is left, to where
-- the last were claimed. `passed`: the index entries that it met. A floor in use is left alone.
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
             WHERE h.job_type = t.job_type AND h.length_class < 6 ORDER BY h.rank, h.turn LIMIT 1)
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

-- Notes where the queue stands: at the turn of a document that is claimed now, unless the row is in use.
CREATE FUNCTION l2s.advance_turn(document_id bigint, stamp timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    reached record;
BEGIN
    SELECT q.job_type, q.rank, q.turn INTO reached FROM l2s.queue q
    WHERE q.document_id = advance_turn.document_id;
    IF EXISTS (
        SELECT FROM l2s.turn t
        WHERE t.job_type = reached.job_type AND t.rank = reached.rank
    ) THEN
        UPDATE l2s.turn t SET turn = reached.turn, at = stamp
        WHERE (t.job_type, t.rank) = (
            SELECT u.job_type, u.rank FROM l2s.turn u
            WHERE u.job_type = reached.job_type AND u.rank = reached.rank
              AND u.turn < reached.turn AND u.at < stamp - interval '1 second'
            FOR NO KEY UPDATE SKIP LOCKED);
    ELSE
        INSERT INTO l2s.turn (job_type, rank, turn, at)
        VALUES (reached.job_type, reached.rank, reached.turn, stamp)
        ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- How many documents each of these job types may still have once it has further ones; null: any.
CREATE FUNCTION l2s.less_room(rooms integer[], job_types integer[], documents bigint[])
RETURNS integer[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT (r.room - (SELECT count(*) FROM l2s.queue q
                          WHERE q.document_id = ANY (documents) AND q.job_type = r.job_type))::integer
        FROM unnest(rooms, job_types) WITH ORDINALITY AS r(room, job_type, place) ORDER BY r.place);
END $$;

-- Siblings come to one worker: with a document come those of its siblings that are ready and of the
-- same length class, out of their turn, so that the text is read once. A claim that takes one of them
-- keeps the others from claims at the same time. Suspects come alone.
--
-- Takes the next batch: from one length class, at most `documents` of at most `tokens` estimated tokens
-- together, but at least one; siblings cost no tokens, and those of the first document may exceed
-- `documents`. body is that of document text_id; traceparent is its metadata's, unread, and fields are
-- those of it that `wanted` names.
CREATE FUNCTION l2s.claim(
    worker_id bigint, encoder text, job_types text[], documents integer, tokens integer,
    duration interval, wanted text[] DEFAULT '{}'
) RETURNS TABLE (
    lease_id bigint, length_class smallint, document_id bigint, job_type text, attempt integer,
    text_id bigint, body text, traceparent text, fields text[]
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Without sorts there is one index that serves, whatever statistics there are.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_sort = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    encoder_id integer;
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
    limited   boolean := false;
    related   boolean := false;  -- whether one of them has siblings
    came      bigint[] := '{}';  -- as a sibling
    taken_of  bigint[];  -- their texts, for those that have siblings
    more      bigint[];
    more_at   tid[];
    more_of   bigint[];
    kept      integer;
    lowest    bigint;
    highest   bigint;
    token     bigint;
    stamp     timestamptz := clock_timestamp();
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN PERFORM l2s.demand_read_committed(); END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT r.id INTO encoder_id FROM l2s.encoder r WHERE r.name = claim.encoder;
    FOR type IN
        SELECT o.* FROM l2s.open_job_types(claim.job_types) AS o WHERE o.encoder = encoder_id
    LOOP
        -- Claims under a limit are made one after the other; who comes second goes without.
        IF type.room IS NOT NULL THEN
            PERFORM FROM l2s.job_type t WHERE t.id = type.id FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            SELECT o.* INTO type
            FROM l2s.open_job_types(claim.job_types) AS o WHERE o.id = type.id;
            CONTINUE WHEN NOT FOUND;
        END IF;
        type_ids := type_ids || type.id;
        names := names || (SELECT t.name FROM l2s.job_type t WHERE t.id = type.id);
        rooms := rooms || type.room;
        limited := limited OR type.room IS NOT NULL;
    END LOOP;

    -- One claim at a time looks from the start where that is due.
    whole := ARRAY(
        SELECT f.job_type FROM l2s.floor f WHERE f.job_type = ANY (type_ids) AND f.look_at <= stamp
        FOR NO KEY UPDATE SKIP LOCKED);
    LOOP
        passed := pg_stat_get_xact_tuples_returned('l2s.queue_ready'::regclass);
        heads := l2s.heads(type_ids, whole);
        passed := pg_stat_get_xact_tuples_returned('l2s.queue_ready'::regclass) - passed;
        FOR candidate IN SELECT l2s.due_length_classes(claim.worker_id, heads) LOOP
            space := least(claim.documents, CASE candidate WHEN 6 THEN 16 WHEN 7 THEN 1 END);
            budget := claim.tokens;
            FOR type IN
                SELECT
                    h.*,
                    -- Those of its priority that were not asked yet, itself included.
                    count(*) OVER (
                        PARTITION BY h.rank ORDER BY h.chance
                        ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS peers
                FROM (
                    SELECT first.*, random() AS chance FROM unnest(heads) AS first
                    WHERE first.length_class = candidate) AS h
                ORDER BY h.rank, h.chance
            LOOP
                EXIT WHEN space <= 0 OR budget <= 0;
                SELECT
                    coalesce(array_agg(p.document_id), '{}'), array_agg(p.place),
                    array_agg(p.text_id), coalesce(sum(p.tokens), 0), related OR coalesce(bool_or(p.text_id IS NOT NULL), false)
                INTO taken, taken_at, taken_of, spent, related
                FROM (
                    SELECT
                        locked.document_id, locked.place, locked.tokens, locked.text_id,
                        sum(locked.tokens) OVER w AS total, row_number() OVER w AS number
                    FROM (
                        SELECT
                            q.document_id, q.ctid AS place, q.rank, q.turn, q.tokens,
                            q.siblings[1] AS text_id
                        FROM l2s.queue q
                        WHERE q.state = 0 AND q.job_type = type.job_type AND q.length_class = candidate
                          AND (q.rank, q.turn, q.document_id)
                              >= (type.rank, type.turn, type.document_id)
                          AND (q.siblings IS NULL OR q.document_id <> ALL (came)
                              AND (candidate >= 6 OR pg_try_advisory_xact_lock(
                                  hashint8extended(q.siblings[1], (SELECT s.salt FROM l2s.salt s)))))
                        ORDER BY q.job_type, q.length_class, q.rank, q.turn, q.document_id
                        LIMIT least(
                            rooms[array_position(type_ids, type.job_type)], ceil(space::numeric / type.peers))
                        FOR NO KEY UPDATE SKIP LOCKED) AS locked
                    WINDOW w AS (ORDER BY locked.rank, locked.turn, locked.document_id)) AS p
                WHERE p.total <= budget OR (p.number = 1 AND picked = '{}');
                more := '{}'; more_at := '{}';
                IF related AND candidate < 6 THEN
                    SELECT
                        coalesce(array_agg(s.document_id), '{}'), array_agg(s.place),
                        array_agg(s.text_id)
                    INTO more, more_at, more_of
                    FROM (
                        SELECT
                            locked.*, row_number() OVER (
                                PARTITION BY locked.job_type ORDER BY locked.document_id) AS number
                        FROM (
                            SELECT
                                q.document_id, q.ctid AS place, q.job_type,
                                q.siblings[1] AS text_id
                            FROM l2s.queue q
                            WHERE q.document_id = ANY (ARRAY(
                                  SELECT unnest(t.siblings) FROM l2s.queue t
                                  WHERE t.document_id = ANY (taken)))
                              -- No index of what is ready serves this: the key does.
                              AND q.document_id <> ALL (picked || taken) AND q.state + 0 = 0
                              AND q.length_class = candidate AND q.job_type = ANY (type_ids)
                            FOR NO KEY UPDATE SKIP LOCKED) AS locked) AS s
                    WHERE s.number <= coalesce(
                        rooms[array_position(type_ids, s.job_type)], cardinality(taken));
                END IF;
                IF cardinality(taken) + cardinality(more) > space THEN
                    -- Whole sets only; more than there is room for if it is the first.
                    kept := coalesce((
                        SELECT max(t.number) FROM (
                            SELECT
                                u.number,
                                sum(1 + (SELECT count(*) FROM unnest(more_of) AS m(text_id)
                                         WHERE m.text_id = u.text_id)) OVER (ORDER BY u.number)
                                    AS total
                            FROM unnest(taken_of) WITH ORDINALITY AS u(text_id, number)) AS t
                        WHERE t.total <= space OR (t.number = 1 AND picked = '{}')), 0);
                    taken := taken[:kept];
                    taken_at := taken_at[:kept];
                    SELECT coalesce(array_agg(m.id), '{}'), array_agg(m.place) INTO more, more_at
                    FROM unnest(more, more_at, more_of) AS m(id, place, text_id)
                    WHERE m.text_id = ANY (taken_of[:kept]);
                END IF;
                came := came || more;
                picked := picked || taken || more;
                places := places || taken_at || more_at;
                space := space - cardinality(taken) - cardinality(more);
                budget := budget - spent;
                IF limited THEN
                    rooms := l2s.less_room(rooms, type_ids, taken || more);
                END IF;
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
            id, worker_id, encoder, length_class, documents, held, claimed_at, duration, expires_at)
        VALUES (
            token, claim.worker_id, encoder_id, candidate, cardinality(picked), picked, stamp,
            claim.duration, stamp + claim.duration)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
    END LOOP;
    UPDATE l2s.worker w SET idle = false WHERE w.id = claim.worker_id AND w.idle;
    IF candidate < 6 THEN
        PERFORM l2s.advance_turn(picked[1], stamp);
    END IF;

    SELECT min(p.id), max(p.id) INTO lowest, highest FROM unnest(picked) AS p(id);
    IF related THEN
        lowest := (
            SELECT least(lowest, min(q.siblings[1])) FROM l2s.queue q WHERE q.ctid = ANY (places));
    END IF;
    RETURN QUERY
    WITH leased AS (
        UPDATE l2s.queue q SET
            state = 1, lease_id = token, claims = q.claims + 1,
            limited = rooms[array_position(type_ids, q.job_type)] IS NOT NULL
        -- They are locked, so they are still there.
        WHERE q.ctid = ANY (places)
        RETURNING
            q.document_id, coalesce(q.siblings[1], q.document_id) AS text_id, q.job_type, q.rank,
            q.turn, q.earlier + q.errors + q.crashes + 1 AS attempt)
    SELECT
        token, candidate, leased.document_id, names[array_position(type_ids, leased.job_type)],
        leased.attempt, d.id, d.body, left(d.metadata ->> 'traceparent', 55),
        CASE WHEN wanted <> '{}' THEN l2s.texts_of(d.metadata, wanted) END
    FROM leased
    -- Bounds that are known beforehand leave no other partitions to be opened; LIMIT keeps the
    -- planner from reading all that lies between them.
    CROSS JOIN LATERAL (
        SELECT e.* FROM l2s.document e
        WHERE e.id = leased.text_id AND e.id BETWEEN lowest AND highest LIMIT 1) AS d
    ORDER BY leased.rank, leased.turn, leased.document_id;
END $$;

-- True when l2s.claim would find something for these job types.
CREATE FUNCTION l2s.has_work(worker_id bigint, job_types text[]) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM (
            SELECT array_agg(o.id) AS ids FROM l2s.open_job_types(has_work.job_types) AS o GROUP BY o.encoder) AS known
        CROSS JOIN LATERAL l2s.due_length_classes(has_work.worker_id, l2s.heads(known.ids, known.ids)));
END $$;
