-- 8: documents get in with a group, a tenant and a turn.
--
-- Turns are start-time fair queueing (Goyal, Vin and Cheng, 1996), in estimated tokens: a tenant's
-- next document is due where its last waiting one ends, or where the queue stands now when that is
-- further. A million documents of one tenant so lie far ahead in turns, and ten of another go
-- between the next of them. Only the order is decided, once, at enqueue: claims stay one index scan.
-- Priorities go before turns. Turns are approximate where transactions do not see each other.

CREATE TABLE l2s.turn (
    job_type integer NOT NULL,
    rank     smallint NOT NULL,
    turn     bigint NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (job_type, rank)
) WITH (fillfactor = 40);
COMMENT ON TABLE l2s.turn IS
    'Where the queue stands: the turn of what was claimed last. Written about once a second.';

CREATE INDEX queue_turn ON l2s.queue (job_type, tenant, rank, turn) WHERE state = 0;

-- Whom a statement is made for, also inside of functions that run with their owner's rights.
CREATE FUNCTION l2s.caller() RETURNS text
LANGUAGE sql STABLE
RETURN coalesce(nullif(current_setting('role'), 'none'), session_user);

-- The turn after which a tenant's next document is due. Only for functions whose settings keep plans
-- on their index.
CREATE FUNCTION l2s.last_turn(job_type integer, tenant integer, rank smallint) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    RETURN greatest(
        (SELECT t.turn FROM l2s.turn t
         WHERE t.job_type = last_turn.job_type AND t.rank = last_turn.rank),
        (SELECT q.turn FROM l2s.queue q
         WHERE q.state = 0 AND q.job_type = last_turn.job_type AND q.tenant = last_turn.tenant
           AND q.rank = last_turn.rank
         ORDER BY q.turn DESC LIMIT 1),
        0);
END $$;

-- The open run of a group, held open until the caller's transaction ends; made when there is none.
CREATE FUNCTION l2s.open_group(name text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    run bigint;
BEGIN
    SELECT g.id INTO run FROM l2s.group_run g
    WHERE g.name = open_group.name AND g.finished_at IS NULL
    ORDER BY g.id LIMIT 1 FOR KEY SHARE;
    IF NOT FOUND THEN
        INSERT INTO l2s.group_run (name) VALUES (open_group.name) RETURNING id INTO run;
    END IF;
    RETURN run;
END $$;

DROP FUNCTION l2s.enqueue;

CREATE FUNCTION l2s.enqueue(
    job_type   text,
    document   text,
    priority   integer DEFAULT 0,
    run_at     timestamptz DEFAULT now(),
    dedupe_key text DEFAULT NULL,
    metadata   jsonb DEFAULT NULL,
    "group"    text DEFAULT NULL,
    tenant     text DEFAULT NULL,
    notify     boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
DECLARE
    type    l2s.job_type;
    bytes   integer := octet_length(document);
    size    integer := octet_length(document) / 4 + 1;
    new_id  bigint;
    run     bigint;
    flow    integer := coalesce(hashtext(tenant), 0);
    ready   boolean;
    stamp   timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO type FROM l2s.job_type t WHERE t.name = enqueue.job_type;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown job type %', coalesce(quote_literal(job_type), 'NULL') USING
            ERRCODE = 'undefined_object',
            DETAIL = coalesce(
                'Known job types: '
                    || (SELECT string_agg(t.name, ', ' ORDER BY t.name) FROM l2s.job_type t) || '.',
                'No job type is known yet.'),
            HINT = 'Files under jobs/ define them; "l2s migrate --jobs DIR" makes them known.';
    END IF;
    IF document IS NULL THEN
        RAISE EXCEPTION 'expected a document for job type %, got NULL', type.name USING
            ERRCODE = 'null_value_not_allowed';
    END IF;
    IF bytes > type.document_bytes THEN
        RAISE EXCEPTION 'document too large for job type %', type.name USING
            ERRCODE = 'string_data_right_truncation',
            DETAIL = format('The text has %s bytes, the limit is %s.', bytes, type.document_bytes),
            HINT = 'Split the text, or raise limits.document_bytes of the job type.';
    END IF;
    -- Spelled out: what is white space to a regular expression otherwise depends on the locale.
    IF document !~
        '[^\u0001-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]'
    THEN
        RAISE EXCEPTION 'empty document for job type %', type.name USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = format(
                'The text has %s bytes, all of them white space or control characters.', bytes),
            HINT = 'Leave such rows out, for example by WHERE body ~ ''\w''.';
    END IF;
    IF priority IS NULL OR priority NOT BETWEEN -32767 AND 32767 THEN
        RAISE EXCEPTION 'expected priority to be from -32767 to 32767, got %', priority USING
            ERRCODE = 'numeric_value_out_of_range';
    END IF;
    IF run_at IS NULL THEN
        RAISE EXCEPTION 'expected run_at to be a time, got NULL' USING
            ERRCODE = 'null_value_not_allowed';
    END IF;
    IF octet_length(dedupe_key) > 1000 THEN
        RAISE EXCEPTION 'expected dedupe_key to have at most 1000 bytes, got %',
            octet_length(dedupe_key) USING ERRCODE = 'string_data_right_truncation';
    END IF;
    IF octet_length("group") NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'expected group to have 1 to 1000 bytes, got %', octet_length("group")
            USING ERRCODE = 'string_data_right_truncation';
    END IF;
    IF octet_length(tenant) NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'expected tenant to have 1 to 1000 bytes, got %', octet_length(tenant)
            USING ERRCODE = 'string_data_right_truncation';
    END IF;

    new_id := nextval('l2s.document_id');
    IF dedupe_key IS NOT NULL THEN
        INSERT INTO l2s.dedupe (job_type, key, document_id)
        VALUES (type.id, dedupe_key, new_id)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN (
                SELECT d.document_id FROM l2s.dedupe d
                WHERE d.job_type = type.id AND d.key = enqueue.dedupe_key);
        END IF;
    END IF;
    IF "group" IS NOT NULL THEN
        run := l2s.open_group("group");
    END IF;

    INSERT INTO l2s.document (
        id, job_type, priority, run_at, enqueued_at, body, dedupe_key, metadata, group_id, tenant,
        producer)
    VALUES (
        new_id, type.id, priority, run_at, stamp, document, dedupe_key, metadata, run, tenant,
        l2s.caller());

    -- A delayed document gets its turn when its time comes.
    ready := run_at <= stamp;
    INSERT INTO l2s.queue (
        document_id, run_at, job_type, tokens, rank, lane, state, tenant, group_id, notify, turn)
    VALUES (
        new_id, greatest(run_at, stamp), type.id, size, -priority, l2s.lane(size),
        CASE WHEN ready THEN 0 ELSE 2 END, flow, run, coalesce(notify, false),
        CASE WHEN ready THEN size + l2s.last_turn(type.id, flow, (-priority)::smallint) ELSE 0 END);
    IF ready THEN
        PERFORM l2s.wake();
    END IF;
    RETURN new_id;
END $$;
COMMENT ON FUNCTION l2s.enqueue IS
'Puts a document through a job type and returns the job''s id.
priority: greater is sooner. run_at: not before this time. dedupe_key: a job of the same type and key
is not enqueued again, its id is returned. metadata: kept beside the job; l2s reads one key of it,
traceparent, the W3C trace context that the worker''s spans continue. group, written "group" because
SQL reserves the word: documents that are watched, waited for and cancelled together. tenant: tenants
take turns within a priority. notify: its id is sent on channel l2s_done when it is finished.
Over a table: SELECT l2s.enqueue(''summarize'', body) FROM articles';
