-- 9: claims by turn, by job type, and within limits.
--
-- The index of what is ready leads with the job type: one that is paused or at its limit costs a
-- claim nothing, however many of its documents wait. Job types of one reader share a batch in equal
-- parts; within a job type the order is priority, then turn.

DROP INDEX l2s.queue_ready;
CREATE INDEX queue_ready ON l2s.queue (job_type, lane, rank, turn, document_id) WHERE state = 0;
DROP FUNCTION l2s.due_lanes(bigint, integer, integer[]);
ALTER TABLE l2s.queue DROP COLUMN reader;

-- The job types among `names` of which a claim may take documents, and how many.
CREATE FUNCTION l2s.open_job_types(names text[])
RETURNS TABLE (id integer, reader integer, room integer)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT * FROM (
        SELECT t.id, t.reader, t.concurrent_documents - CASE
            WHEN t.concurrent_documents IS NOT NULL THEN (
                SELECT count(*) FROM l2s.queue q
                WHERE q.limited AND q.state = 1 AND q.job_type = t.id)::integer END AS room
        FROM l2s.job_type t
        WHERE t.name = ANY (names) AND NOT t.paused
          AND NOT (SELECT s.paused FROM l2s.setting s)) AS candidate
    WHERE candidate.room IS NULL OR candidate.room > 0;
END $$;

-- The first document of each job type in each lane.
CREATE FUNCTION l2s.heads(job_types integer[])
RETURNS TABLE (job_type integer, lane smallint, rank smallint, turn bigint, document_id bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT first.* FROM unnest(heads.job_types) AS types(id)
    CROSS JOIN generate_series(0, 7) AS lanes(lane)
    CROSS JOIN LATERAL (
        SELECT q.job_type, q.lane, q.rank, q.turn, q.document_id FROM l2s.queue q
        WHERE q.state = 0 AND q.job_type = types.id AND q.lane = lanes.lane
        ORDER BY q.job_type, q.lane, q.rank, q.turn, q.document_id LIMIT 1) AS first;
END $$;

-- Lanes that the worker may claim from now, the one due first in front; of several job types that
-- are due alike, one by chance.
-- Suspects are only given to a worker that holds nothing else, and nothing else to one that holds
-- suspects: when it crashes, it was one of them. So a busy worker may get nothing although there is
-- work, until it has finished what it holds.
CREATE FUNCTION l2s.due_lanes(worker_id bigint, job_types integer[])
RETURNS SETOF smallint
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
        FROM l2s.heads(due_lanes.job_types) AS h
    )
    SELECT h.lane FROM head h, holding
    WHERE NOT holding.suspects
      AND (NOT holding.anything
           OR h.rank < ALL (SELECT s.rank FROM head s WHERE s.is_suspect))
    GROUP BY h.lane
    ORDER BY min(h.rank), h.lane < 6, min(h.place), random();
END $$;

-- Notes where the queue stands: at the turn of a document that is claimed now. Whoever finds the row
-- in use leaves it: the next claim will do.
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

-- Takes the next batch: from one lane, at most `documents` of at most `tokens` estimated tokens
-- together, but at least one. traceparent is the metadata's, unread.
CREATE OR REPLACE FUNCTION l2s.claim(
    worker_id bigint, reader text, job_types text[], documents integer, tokens integer,
    duration interval
) RETURNS TABLE (
    lease_id bigint, lane smallint, document_id bigint, job_type text, attempt integer, body text,
    traceparent text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    reader_id integer;
    type      record;
    type_ids  integer[] := '{}';
    rooms     integer[] := '{}';
    candidate smallint;
    space     integer;
    budget    bigint;
    picked    bigint[] := '{}';
    taken     bigint[];
    spent     bigint;
    token     bigint;
    stamp     timestamptz;
BEGIN
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
        rooms := rooms || type.room;
    END LOOP;

    FOR candidate IN SELECT l2s.due_lanes(claim.worker_id, type_ids) LOOP
        space := least(claim.documents, CASE candidate WHEN 6 THEN 16 WHEN 7 THEN 1 END);
        budget := claim.tokens;
        FOR type IN
            SELECT
                h.job_type AS id, rooms[array_position(type_ids, h.job_type)] AS room,
                -- Those of its priority that were not asked yet, itself included.
                count(*) OVER (
                    PARTITION BY h.rank ORDER BY h.chance
                    ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS peers
            FROM (
                SELECT first.*, random() AS chance FROM l2s.heads(type_ids) AS first
                WHERE first.lane = candidate) AS h
            ORDER BY h.rank, h.chance
        LOOP
            EXIT WHEN space <= 0 OR budget <= 0;
            SELECT coalesce(array_agg(p.document_id), '{}'), coalesce(sum(p.tokens), 0)
            INTO taken, spent
            FROM (
                SELECT
                    locked.document_id, locked.tokens,
                    sum(locked.tokens) OVER w AS total, row_number() OVER w AS number
                FROM (
                    SELECT q.document_id, q.rank, q.turn, q.tokens FROM l2s.queue q
                    WHERE q.state = 0 AND q.job_type = type.id AND q.lane = candidate
                    ORDER BY q.job_type, q.lane, q.rank, q.turn, q.document_id
                    LIMIT least(type.room, ceil(space::numeric / type.peers))
                    FOR NO KEY UPDATE SKIP LOCKED) AS locked
                WINDOW w AS (ORDER BY locked.rank, locked.turn, locked.document_id)) AS p
            WHERE p.total <= budget OR (p.number = 1 AND picked = '{}');
            picked := picked || taken;
            space := space - cardinality(taken);
            budget := budget - spent;
        END LOOP;
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
    IF candidate < 6 THEN
        PERFORM l2s.advance_turn(picked[1], stamp);
    END IF;

    RETURN QUERY
    WITH leased AS (
        UPDATE l2s.queue q SET
            state = 1, lease_id = token, claims = q.claims + 1,
            limited = rooms[array_position(type_ids, q.job_type)] IS NOT NULL
        WHERE q.document_id = ANY (picked)
        RETURNING
            q.document_id, q.job_type, q.rank, q.turn,
            q.earlier + q.errors + q.crashes + 1 AS attempt)
    SELECT
        token, candidate, d.id, t.name, leased.attempt, d.body, d.metadata ->> 'traceparent'
    FROM leased
    JOIN l2s.document d ON d.id = leased.document_id
    JOIN l2s.job_type t ON t.id = leased.job_type
    ORDER BY leased.rank, leased.turn, d.id;
END $$;

-- True when l2s.claim would find something for these job types.
CREATE OR REPLACE FUNCTION l2s.has_work(worker_id bigint, job_types text[]) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM (
            SELECT array_agg(o.id) AS ids FROM l2s.open_job_types(has_work.job_types) AS o
            GROUP BY o.reader) AS known
        CROSS JOIN LATERAL l2s.due_lanes(has_work.worker_id, known.ids));
END $$;

-- Definitions may now say how many documents of a type may be with workers at a time. Unfinished
-- documents follow a type that changed its reader by themselves.
CREATE OR REPLACE FUNCTION l2s.sync_job_types(definitions json) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO l2s.reader (name)
    SELECT DISTINCT d.reader FROM json_to_recordset(definitions) AS d(reader text)
    WHERE NOT EXISTS (SELECT FROM l2s.reader r WHERE r.name = d.reader) ORDER BY 1
    ON CONFLICT DO NOTHING;

    INSERT INTO l2s.job_type (
        name, reader, mode, llm, slm, document_bytes, maximum_attempts, backoff, maximum_backoff,
        concurrent_documents)
    SELECT
        d.name, r.id, d.mode, d.llm, d.slm, d.document_bytes, d.maximum_attempts,
        make_interval(secs => d.backoff), make_interval(secs => d.maximum_backoff),
        d.concurrent_documents
    FROM json_to_recordset(definitions) AS d(
        name text, reader text, mode text, llm text, slm text, document_bytes integer,
        maximum_attempts integer, backoff double precision, maximum_backoff double precision,
        concurrent_documents integer)
    JOIN l2s.reader r ON r.name = d.reader
    ORDER BY d.name
    ON CONFLICT (name) DO UPDATE SET
        reader = excluded.reader, mode = excluded.mode, llm = excluded.llm, slm = excluded.slm,
        document_bytes = excluded.document_bytes, maximum_attempts = excluded.maximum_attempts,
        backoff = excluded.backoff, maximum_backoff = excluded.maximum_backoff,
        concurrent_documents = excluded.concurrent_documents;
    PERFORM l2s.wake();
END $$;
