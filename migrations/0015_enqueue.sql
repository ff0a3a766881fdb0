-- 15: what an enqueue costs.
--
-- A producer that enqueues documents one by one pays for each expression of these functions anew: PL/pgSQL
-- makes them ready once in a transaction. So what is nearly always right is asked in one expression, and
-- only what is not is looked at piece by piece, for the words of the refusal.

-- Why an enqueue of a document of a job type is refused.
CREATE FUNCTION l2s.refuse_document(
    wanted text, type l2s.job_type, document text, known_types integer[]
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF type.id IS NULL THEN
        RAISE EXCEPTION 'unknown job type %', coalesce(quote_literal(wanted), 'NULL') USING
            ERRCODE = 'undefined_object',
            DETAIL = coalesce(
                'Known job types: '
                    || (SELECT string_agg(t.name, ', ' ORDER BY t.name) FROM l2s.job_type t) || '.',
                'No job type is known yet.'),
            HINT = 'Files under jobs/ define them; "l2s migrate --jobs DIR" makes them known.';
    END IF;
    IF document IS NULL THEN
        RAISE EXCEPTION 'expected a document for job type %, got NULL', wanted USING
            ERRCODE = 'null_value_not_allowed';
    END IF;
    IF octet_length(document) > type.document_bytes THEN
        RAISE EXCEPTION 'document too large for job type %', wanted USING
            ERRCODE = 'string_data_right_truncation',
            DETAIL = format(
                'The text has %s bytes, the limit is %s.', octet_length(document), type.document_bytes),
            HINT = 'Split the text, or raise limits.document_bytes of the job type.';
    END IF;
    IF type.id = ANY (known_types) THEN
        RAISE EXCEPTION 'expected each job type once, got % twice', wanted USING
            ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;

-- Why an enqueue with these arguments is refused.
CREATE FUNCTION l2s.refuse_arguments(
    wanted text, document text, priority integer, run_at timestamptz, dedupe_key text, metadata jsonb,
    "group" text, tenant text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    argument record;
BEGIN
    IF NOT l2s.has_text(document) THEN
        RAISE EXCEPTION 'empty document for job type %', wanted USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = format(
                'The text has %s bytes, all of them white space or control characters.',
                octet_length(document)),
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
    IF octet_length(metadata::text) > 8192 THEN
        RAISE EXCEPTION 'expected metadata to have at most 8192 bytes, got %',
            octet_length(metadata::text) USING
            ERRCODE = 'string_data_right_truncation',
            HINT = 'Keep it in a table of your own, by the id that l2s.enqueue returns.';
    END IF;
    FOR argument IN
        SELECT a.name, octet_length(a.value) AS bytes
        FROM (VALUES ('dedupe_key', dedupe_key), ('group', "group"), ('tenant', tenant)) AS a(name, value)
        WHERE octet_length(a.value) NOT BETWEEN 1 AND 1000
    LOOP
        RAISE EXCEPTION 'expected % to have 1 to 1000 bytes, got %', argument.name, argument.bytes
            USING ERRCODE = 'string_data_right_truncation';
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION l2s.wake() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM l2s.worker w
        WHERE w.idle AND w.seen_at > clock_timestamp() - interval '1 minute')
    THEN
        IF (SELECT s.notifies FROM l2s.setting s) THEN
            PERFORM l2s.notify('l2s_work', '');
        END IF;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION l2s.open_group(name text, producer text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    run bigint;
BEGIN
    SELECT g.id INTO run FROM l2s.group_run g
    WHERE g.name = open_group.name AND g.finished_at IS NULL
      AND (g.producer = open_group.producer OR NOT (SELECT s.producers_apart FROM l2s.setting s))
    ORDER BY g.id LIMIT 1 FOR KEY SHARE;
    IF NOT FOUND THEN
        INSERT INTO l2s.group_run (name, producer) VALUES (open_group.name, open_group.producer)
        RETURNING id INTO run;
    END IF;
    RETURN run;
END $$;

CREATE OR REPLACE FUNCTION l2s.enqueue(
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
    size     integer := octet_length(document) / 4 + 1;
    place    integer;
    ids      bigint[] := '{}';
    made     bigint[] := '{}';  -- those of them that are new
    siblings bigint[];
    run      bigint;
    flow     integer := coalesce(hashtext(tenant), 0);
    ready    boolean;
    known    bigint;
    stamp    timestamptz := clock_timestamp();
BEGIN
    IF coalesce(cardinality(job_types), 0) NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'expected 1 to 64 job types, got %', coalesce(cardinality(job_types), 0)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH wanted IN ARRAY job_types LOOP
        SELECT * INTO type FROM l2s.job_type t WHERE t.name = wanted;
        IF (octet_length(document) <= type.document_bytes AND type.id <> ALL (types)) IS NOT TRUE THEN
            PERFORM l2s.refuse_document(wanted, type, document, types);
        END IF;
        IF cardinality(type.prompt_fields) > 0 THEN
            PERFORM l2s.check_prompt_fields(type, metadata);
        END IF;
        types := types || type.id;
        ids := ids || nextval('l2s.document_id');
    END LOOP;
    -- Most documents begin with a letter; to see that costs nothing.
    IF (ascii(document) BETWEEN 33 AND 126 AND priority BETWEEN -32767 AND 32767 AND isfinite(run_at))
        IS NOT TRUE
    THEN
        PERFORM l2s.refuse_arguments(
            wanted, document, priority, run_at, dedupe_key, metadata, "group", tenant);
    END IF;
    IF dedupe_key IS NOT NULL OR "group" IS NOT NULL OR tenant IS NOT NULL OR metadata IS NOT NULL THEN
        IF least(octet_length(dedupe_key), octet_length("group"), octet_length(tenant)) < 1
            OR greatest(octet_length(dedupe_key), octet_length("group"), octet_length(tenant)) > 1000
            OR octet_length(metadata::text) > 8192
        THEN
            PERFORM l2s.refuse_arguments(
                wanted, document, priority, run_at, dedupe_key, metadata, "group", tenant);
        END IF;
    END IF;

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
        -- In one order, so that two such calls do not wait for each other.
        FOR place IN SELECT t.place FROM unnest(types) WITH ORDINALITY AS t(id, place) ORDER BY t.id
        LOOP
            LOOP
                INSERT INTO l2s.dedupe (job_type, key, producer, document_id)
                SELECT
                    types[place], dedupe_key, CASE WHEN s.producers_apart THEN l2s.caller() ELSE '' END,
                    ids[place]
                FROM l2s.setting s
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    made := made || ids[place];
                    EXIT;
                END IF;
                SELECT d.document_id INTO known FROM l2s.setting s, l2s.dedupe d
                WHERE d.job_type = types[place] AND d.key = enqueue.dedupe_key
                  AND d.producer = CASE WHEN s.producers_apart THEN l2s.caller() ELSE '' END;
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
