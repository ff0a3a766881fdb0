-- 2: how documents get in: l2s.enqueue, in the caller's own transaction.
--
-- Turns are start-time fair queueing (Goyal, Vin and Cheng, 1996), in estimated tokens: a tenant's
-- next document is due where its last waiting one ends, or where the queue stands now when that is
-- further. So a million documents of one tenant lie far ahead in turns, and ten of another go between
-- the next of them. Only the order is decided, once, at enqueue: claims stay one index scan.
-- Priorities go before turns. Turns are approximate where transactions do not see each other.

-- Notifies, but not where that might fail: a full queue of notifications, which a listener that sleeps
-- in a transaction causes, would fail the transaction. Notifications are hints; whoever waits for one
-- looks by itself too.
CREATE FUNCTION l2s.notify(channel text, payload text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify(channel, payload);
    END IF;
END $$;

-- Tells the workers that something became ready. A notification takes a lock on the whole cluster
-- when its transaction commits, so there is one only while a worker is idle. A worker that falls
-- idle in between finds the document by polling.
CREATE FUNCTION l2s.wake() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM l2s.worker w
        WHERE w.idle AND w.seen_at > clock_timestamp() - interval '1 minute'
    ) AND (SELECT s.notifies FROM l2s.setting s) THEN
        PERFORM l2s.notify('l2s_work', '');
    END IF;
END $$;

-- Length classes, so that the documents of a batch are about equally long. Classes 6 and 7 are for
-- suspects, whose worker crashed: 6 in batches of at most 16, 7 alone.
CREATE FUNCTION l2s.length_class(tokens integer) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN tokens <= 128 THEN 0 WHEN tokens <= 256 THEN 1 WHEN tokens <= 512 THEN 2
            WHEN tokens <= 1024 THEN 3 WHEN tokens <= 2048 THEN 4 ELSE 5 END::smallint;

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

-- Whether roles that enqueue are kept apart.
CREATE FUNCTION l2s.are_producers_apart() RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT s.producers_apart FROM l2s.setting s);
END $$;

-- Any login may hold any advisory lock. Those of claims are not to be guessed.
CREATE TABLE l2s.salt (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    salt     bigint NOT NULL DEFAULT hashtextextended(gen_random_uuid()::text, 0)
);
INSERT INTO l2s.salt DEFAULT VALUES;
COMMENT ON TABLE l2s.salt IS 'What makes the locks of siblings unknown to others.';

-- The open run of a producer's group, held open until the caller's transaction ends; made when there is
-- none.
CREATE FUNCTION l2s.open_group(name text, producer text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    run bigint;
BEGIN
    SELECT g.id INTO run FROM l2s.group_run g
    WHERE g.name = open_group.name AND g.finished_at IS NULL
      AND (g.producer = open_group.producer OR NOT l2s.are_producers_apart())
    ORDER BY g.id LIMIT 1 FOR KEY SHARE;
    IF NOT FOUND THEN
        INSERT INTO l2s.group_run (name, producer) VALUES (open_group.name, open_group.producer)
        RETURNING id INTO run;
    END IF;
    RETURN run;
END $$;

-- Whether a text holds anything but white space and control characters: one meaning of "empty", which
-- the programs have, too. Spelled out: what is white space to a regular expression otherwise depends on the
-- locale. The start is looked at first: a regular expression makes wide characters of the whole text.
CREATE FUNCTION l2s.has_text(document text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
DECLARE
    visible CONSTANT text := E'[^\\u0001-\\u0020\\u007f-\\u00a0\\u00ad\\u1680\\u2000-\\u200f'
        '\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff]';
BEGIN
    RETURN left(document, 4096) ~ visible OR document ~ visible;
END $$;

-- All jobs of one call share one text: the first of them holds it.
CREATE FUNCTION l2s.enqueue(
    job_types  text[],
    document   text,
    priority   integer DEFAULT 0,
    run_at     timestamptz DEFAULT now(),
    dedupe_key text DEFAULT NULL,
    metadata   jsonb DEFAULT NULL,
    "group"    text DEFAULT NULL,
    tenant     text DEFAULT NULL,
    notify     boolean DEFAULT false
) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
DECLARE
    wanted   text;
    type     l2s.job_type;
    types    integer[] := '{}';
    bytes    integer := octet_length(document);
    size     integer := octet_length(document) / 4 + 1;
    place    integer;
    ids      bigint[] := '{}';
    made     bigint[] := '{}';  -- those of them that are new
    siblings bigint[];
    run      bigint;
    flow     integer := coalesce(hashtext(tenant), 0);
    ready    boolean;
    owner    text;
    known    bigint;
    stamp    timestamptz := clock_timestamp();
BEGIN
    IF coalesce(cardinality(job_types), 0) NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'expected 1 to 64 job types, got %', coalesce(cardinality(job_types), 0)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH wanted IN ARRAY job_types LOOP
        SELECT * INTO type FROM l2s.job_type t WHERE t.name = wanted;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'unknown job type %', coalesce(quote_literal(wanted), 'NULL') USING
                ERRCODE = 'undefined_object',
                DETAIL = coalesce(
                    'Known job types: '
                        || (SELECT string_agg(t.name, ', ' ORDER BY t.name) FROM l2s.job_type t)
                        || '.',
                    'No job type is known yet.'),
                HINT = 'Files under jobs/ define them; "l2s migrate --jobs DIR" makes them known.';
        END IF;
        IF document IS NULL THEN
            RAISE EXCEPTION 'expected a document for job type %, got NULL', wanted USING
                ERRCODE = 'null_value_not_allowed';
        END IF;
        IF bytes > type.document_bytes THEN
            RAISE EXCEPTION 'document too large for job type %', wanted USING
                ERRCODE = 'string_data_right_truncation',
                DETAIL = format(
                    'The text has %s bytes, the limit is %s.', bytes, type.document_bytes),
                HINT = 'Split the text, or raise limits.document_bytes of the job type.';
        END IF;
        IF type.id = ANY (types) THEN
            RAISE EXCEPTION 'expected each job type once, got % twice', wanted USING
                ERRCODE = 'invalid_parameter_value';
        END IF;
        IF cardinality(type.prompt_fields) > 0 THEN
            PERFORM l2s.check_prompt_fields(type, metadata);
        END IF;
        types := types || type.id;
    END LOOP;
    -- Most begin with a letter; to see that costs nothing.
    IF ascii(document) NOT BETWEEN 33 AND 126 AND NOT l2s.has_text(document) THEN
        RAISE EXCEPTION 'empty document for job type %', wanted USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = format(
                'The text has %s bytes, all of them white space or control characters.', bytes),
            HINT = E'Leave such rows out, for example by WHERE body ~ ''\\w''.';
    END IF;
    IF priority IS NULL OR priority NOT BETWEEN -32767 AND 32767 THEN
        RAISE EXCEPTION 'expected priority to be from -32767 to 32767, got %', priority USING
            ERRCODE = 'numeric_value_out_of_range';
    END IF;
    IF run_at IS NULL THEN
        RAISE EXCEPTION 'expected run_at to be a time, got NULL' USING
            ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT isfinite(run_at) THEN
        RAISE EXCEPTION 'expected run_at to be a finite time, got %', run_at USING
            ERRCODE = 'datetime_field_overflow';
    END IF;
    IF metadata IS NOT NULL AND octet_length(metadata::text) > 8192 THEN
        RAISE EXCEPTION 'expected metadata to have at most 8192 bytes, got %',
            octet_length(metadata::text) USING
            ERRCODE = 'string_data_right_truncation',
            HINT = 'Keep it in a table of your own, by the id that l2s.enqueue returns.';
    END IF;
    IF octet_length(dedupe_key) NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'expected dedupe_key to have 1 to 1000 bytes, got %',
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

    -- Loops, because a query costs more than all that a single job needs here.
    FOREACH place IN ARRAY types LOOP
        ids := ids || nextval('l2s.document_id');
    END LOOP;
    IF cardinality(types) > 1 THEN
        -- A text goes with its partition, so siblings may not be in two.
        WHILE EXISTS (
            SELECT FROM l2s.part p
            WHERE p.first_id > ids[1] AND p.first_id <= ids[cardinality(ids)])
        LOOP
            ids := ARRAY(SELECT nextval('l2s.document_id') FROM unnest(types));
        END LOOP;
    END IF;
    IF dedupe_key IS NULL THEN
        made := ids;
    ELSE
        owner := CASE WHEN l2s.are_producers_apart() THEN l2s.caller() ELSE '' END;
        -- In one order, so that two such calls do not wait for each other.
        FOR place IN SELECT t.place FROM unnest(types) WITH ORDINALITY AS t(id, place) ORDER BY t.id
        LOOP
            LOOP
                INSERT INTO l2s.dedupe (job_type, key, producer, document_id)
                VALUES (types[place], dedupe_key, owner, ids[place])
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    made := made || ids[place];
                    EXIT;
                END IF;
                SELECT d.document_id INTO known FROM l2s.dedupe d
                WHERE d.job_type = types[place] AND d.key = enqueue.dedupe_key AND d.producer = owner;
                -- Not found: it was deleted just now.
                IF FOUND THEN
                    ids[place] := known;
                    EXIT;
                END IF;
            END LOOP;
        END LOOP;
        IF made = '{}' THEN
            RETURN ids;
        END IF;
    END IF;
    IF cardinality(made) > 1 THEN
        siblings := ARRAY(SELECT m.id FROM unnest(made) AS m(id) ORDER BY m.id);
    END IF;
    IF "group" IS NOT NULL THEN
        run := l2s.open_group("group", l2s.caller());
    END IF;

    -- A delayed document gets its turn when its time comes.
    ready := run_at <= stamp;
    FOR place IN 1 .. cardinality(ids) LOOP
        CONTINUE WHEN ids[place] <> ALL (made);
        INSERT INTO l2s.document (
            id, job_type, priority, run_at, enqueued_at, body, dedupe_key, metadata, group_id,
            tenant, producer, siblings)
        VALUES (
            ids[place], types[place], priority, run_at, stamp, document, dedupe_key, metadata, run,
            tenant, l2s.caller(), siblings);
        INSERT INTO l2s.queue (
            document_id, run_at, job_type, tokens, rank, length_class, state, tenant, group_id,
            notify, turn, siblings)
        VALUES (
            ids[place], greatest(run_at, stamp), types[place], size, -priority,
            l2s.length_class(size), CASE WHEN ready THEN 0 ELSE 2 END, flow, run,
            coalesce(notify, false),
            CASE WHEN ready THEN
                size + l2s.last_turn(types[place], flow, (-priority)::smallint) ELSE 0 END,
            siblings);
        -- The first of them holds it.
        document := NULL;
    END LOOP;
    IF ready THEN
        PERFORM l2s.wake();
    END IF;
    RETURN ids;
END $$;
COMMENT ON FUNCTION l2s.enqueue(
    text[], text, integer, timestamptz, text, jsonb, text, text, boolean) IS
'Puts a document through several job types and returns the jobs'' ids, in their order. The text is
stored once, and read once where workers can; each job has its own result, retries and times, and is
cancelled by itself. dedupe_key holds for each job type: those that have a job of this key already
get no further one, its id is returned. The other arguments are those for one job type.';

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
LANGUAGE sql
RETURN (l2s.enqueue(
    ARRAY[job_type], document, priority, run_at, dedupe_key, metadata, "group", tenant, notify))[1];
COMMENT ON FUNCTION l2s.enqueue(
    text, text, integer, timestamptz, text, jsonb, text, text, boolean) IS
'Puts a document through a job type and returns the job''s id.
priority: greater is sooner. run_at: not before this time. dedupe_key: a job of the same type and key
is not enqueued again, its id is returned, until setting.keep is over or the job was cancelled; enqueue
many in the order of their keys, so that two who do so at a time wait for each other and do not deadlock.
metadata: at most 8192 bytes that are kept beside the job; l2s reads traceparent of it, the W3C trace
context that the worker''s spans continue, and what the job type''s prompts hold, texts of 1 to 1000
bytes. group, written "group" because SQL reserves the word: documents that are watched, waited for and
cancelled together. tenant: tenants take turns within a priority. notify: its id is sent on channel l2s_done when it is finished.
Over a table: SELECT l2s.enqueue(''summarize'', body) FROM articles';

-- The text of a document.
CREATE FUNCTION l2s.text_of(document l2s.document) RETURNS text
LANGUAGE sql STABLE
RETURN coalesce(
    document.body, (SELECT d.body FROM l2s.document d WHERE d.id = document.siblings[1]));
