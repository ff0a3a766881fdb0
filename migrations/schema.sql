-- The schema of today as pg_dump of PostgreSQL 15 writes it, without owners and comments of its
-- own. `make schema` writes it anew; a test holds it to the migrations.
CREATE SCHEMA l2s;
CREATE TYPE l2s.completion AS (
	id bigint,
	outcome text,
	output text,
	reason text,
	mode text,
	model text,
	tokens_in integer,
	tokens_out integer,
	batch_size integer,
	shared boolean,
	parts integer,
	truncated boolean,
	cut_off integer,
	tokenize_ms real,
	batch_wait_ms real,
	encode_ms real,
	handoff_ms real,
	decode_ms real
);
CREATE TYPE l2s.head AS (
	job_type integer,
	length_class smallint,
	rank smallint,
	turn bigint,
	document_id bigint
);
CREATE FUNCTION l2s.add_part(number integer, first_id bigint, after_id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['document', 'result', 'attempt_error'] LOOP
        -- Made apart and attached: so nobody who reads or writes the others waits.
        EXECUTE format(
            'CREATE TABLE l2s.%1$I (LIKE l2s.%2$I INCLUDING ALL)', parent || '_' || number, parent);
        EXECUTE format(
            'ALTER TABLE l2s.%2$I ATTACH PARTITION l2s.%1$I FOR VALUES FROM (%3$s) TO (%4$s)',
            parent || '_' || number, parent, first_id, after_id);
    END LOOP;
    INSERT INTO l2s.part VALUES (add_part.number, add_part.first_id, add_part.after_id);
END $_$;
CREATE FUNCTION l2s.adopt_cluster() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $$
BEGIN
    PERFORM l2s.demand_read_committed();
    IF l2s.is_at_home() THEN
        RETURN false;
    END IF;
    -- Whoever is writing results ends before, and whoever begins to afterwards reads the new epoch.
    LOCK TABLE l2s.result IN SHARE MODE;
    UPDATE l2s.cluster c SET identity = l2s.cluster_identity(), epoch = c.epoch + 1
    WHERE c.identity <> l2s.cluster_identity();
    RETURN FOUND;
END $$;
CREATE FUNCTION l2s.advance_turn(document_id bigint, stamp timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION l2s.announce(documents bigint[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM l2s.notify('l2s_done', string_agg(part.id::text, ','))
    FROM (
        -- A payload has less than 8,000 bytes.
        SELECT a.id, (a.number - 1) / 300 AS part
        FROM unnest(documents) WITH ORDINALITY AS a(id, number)) AS part
    GROUP BY part.part;
END $$;
CREATE FUNCTION l2s.are_producers_apart() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN (SELECT s.producers_apart FROM l2s.setting s);
END $$;
CREATE FUNCTION l2s.begin_parts(part_every interval) RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    current l2s.part;
    part    l2s.part;
    next_id bigint := (SELECT s.last_value + s.is_called::integer FROM l2s.document_id s);
BEGIN
    SELECT * INTO current FROM l2s.part p WHERE p.after_id > next_id ORDER BY p.first_id LIMIT 1;
    UPDATE l2s.part p SET closed_at = clock_timestamp()
    WHERE p.number < current.number AND p.closed_at IS NULL;
    UPDATE l2s.part p SET opened_at = coalesce(p.opened_at, clock_timestamp())
    WHERE p.number = current.number RETURNING p.* INTO current;
    -- Two more are always there, should ids run faster than this is called.
    SELECT * INTO part FROM l2s.part p ORDER BY p.number DESC LIMIT 1;
    WHILE part.number < current.number + 2 LOOP
        part.number := part.number + 1;
        PERFORM l2s.add_part(part.number, part.after_id, part.after_id + 100000000);
        RETURN NEXT format('made document_%s', part.number);
        SELECT * INTO part FROM l2s.part p WHERE p.number = part.number;
    END LOOP;
    IF current.opened_at <= clock_timestamp() - part_every
        AND EXISTS (SELECT FROM l2s.document d WHERE d.id >= current.first_id)
    THEN
        -- Ids jump to the next one. A transaction that took its id before still writes to this one.
        PERFORM setval('l2s.document_id', current.after_id - 1);
        RETURN NEXT format('began document_%s', current.number + 1);
    END IF;
END $$;
CREATE FUNCTION l2s.caller() RETURNS text
    LANGUAGE sql STABLE
    RETURN COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text);
CREATE FUNCTION l2s.cancel(VARIADIC documents bigint[]) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    held    bigint[];
    waiting bigint[];
    flagged bigint;
BEGIN
    held := ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.document_id = ANY (documents) AND NOT q.cancelled
        ORDER BY q.document_id FOR UPDATE);
    waiting := ARRAY(
        SELECT q.document_id FROM l2s.queue q WHERE q.document_id = ANY (held) AND q.state <> 1);
    PERFORM l2s.end_cancelled(waiting, NULL, NULL, NULL);
    UPDATE l2s.queue q SET cancelled = true WHERE q.document_id = ANY (held);
    GET DIAGNOSTICS flagged = ROW_COUNT;
    RETURN cardinality(waiting) + flagged;
END $$;
COMMENT ON FUNCTION l2s.cancel(VARIADIC documents bigint[]) IS 'Cancels documents that are not finished, and returns how many. Waiting and delayed ones end at once,
running ones as soon as their worker learns of it; their outputs are dropped.';
CREATE FUNCTION l2s.cancel_group("group" text, documents integer DEFAULT NULL::integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN l2s.cancel(VARIADIC ARRAY(
        SELECT q.document_id FROM l2s.queue q
        WHERE q.group_id = ANY (l2s.group_ids("group")) AND NOT q.cancelled
        LIMIT cancel_group.documents));
END $$;
COMMENT ON FUNCTION l2s.cancel_group("group" text, documents integer) IS 'Cancels the unfinished documents of a group, at most `documents` of them, and returns how many.';
CREATE TABLE l2s.job_type (
    id integer NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    encoder integer NOT NULL,
    mode text NOT NULL,
    llm text,
    slm text,
    document_bytes integer NOT NULL,
    maximum_attempts integer NOT NULL,
    backoff interval NOT NULL,
    maximum_backoff interval NOT NULL,
    concurrent_documents integer,
    paused boolean DEFAULT false NOT NULL,
    paused_because text,
    prompt_fields text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT job_type_concurrent_documents_check CHECK ((concurrent_documents > 0)),
    CONSTRAINT job_type_document_bytes_check CHECK ((document_bytes > 0)),
    CONSTRAINT job_type_maximum_attempts_check CHECK ((maximum_attempts > 0))
);
COMMENT ON TABLE l2s.job_type IS 'What can be done to a document; written from jobs/*.yaml by l2s migrate and by each worker''s start.';
COMMENT ON COLUMN l2s.job_type.document_bytes IS 'l2s.enqueue refuses a text of more bytes.';
COMMENT ON COLUMN l2s.job_type.concurrent_documents IS 'The most documents of this type that workers process at a time. Null for any number.';
COMMENT ON COLUMN l2s.job_type.paused IS 'If true, workers claim no further documents of this type. See l2s.pause.';
COMMENT ON COLUMN l2s.job_type.paused_because IS 'The reason if the job type was paused automatically, else null.';
COMMENT ON COLUMN l2s.job_type.prompt_fields IS 'The fields of metadata that the prompts contain. l2s.enqueue refuses a document that lacks one.';
CREATE FUNCTION l2s.check_prompt_fields(type l2s.job_type, metadata jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    field text;
    value text;
    kind  text;
BEGIN
    FOREACH field IN ARRAY type.prompt_fields LOOP
        value := metadata ->> field;
        kind := jsonb_typeof(metadata -> field);
        IF kind = 'string' AND octet_length(value) BETWEEN 1 AND 1000 AND l2s.has_text(value) THEN
            CONTINUE;
        END IF;
        RAISE EXCEPTION 'expected metadata.% to be a text of 1 to 1000 bytes for job type %, got %',
            field, type.name, CASE
                WHEN kind IS NULL THEN 'nothing'
                WHEN kind <> 'string' THEN 'JSON of type ' || kind
                WHEN octet_length(value) > 1000 THEN format('%s bytes', octet_length(value))
                ELSE 'white space' END
            USING ERRCODE = 'invalid_parameter_value',
                HINT = format(
                    'The prompts of this job type contain this field. Pass it as '
                        'metadata => ''{"%s": "…"}''.', field);
    END LOOP;
END $$;
CREATE FUNCTION l2s.claim(worker_id bigint, encoder text, job_types text[], documents integer, tokens integer, duration interval, wanted text[] DEFAULT '{}'::text[]) RETURNS TABLE(lease_id bigint, length_class smallint, document_id bigint, job_type text, attempt integer, text_id bigint, body text, traceparent text, fields text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_sort TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
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
CREATE FUNCTION l2s.close_lease(lease_id bigint, outcome text) RETURNS void
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    WITH closed AS (DELETE FROM l2s.lease l WHERE l.id = close_lease.lease_id RETURNING l.*)
    INSERT INTO l2s.batch (
        lease_id, worker_id, encoder, length_class, documents, claimed_at, closed_at, outcome, succeeded,
        retried, failed, cancelled, tokens_in, tokens_out, tokenize_ms, encode_ms, handoff_ms,
        decode_ms)
    SELECT
        id, worker_id, encoder, length_class, documents, claimed_at, clock_timestamp(), close_lease.outcome,
        succeeded, retried, failed, cancelled, tokens_in, tokens_out, tokenize_ms, encode_ms,
        handoff_ms, decode_ms
    FROM closed;
END $$;
CREATE FUNCTION l2s.cluster_identity() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN CASE WHEN NOT pg_is_in_recovery() THEN
        (SELECT c.system_identifier FROM pg_control_system() AS c)
            || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) END;
END $$;
CREATE FUNCTION l2s.complete(worker_id bigint, lease_id bigint, documents l2s.completion[]) RETURNS TABLE(document_id bigint, verdict text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE
    lease l2s.lease;
    wrote record;
    took  double precision;
    stamp timestamptz;
BEGIN
    PERFORM l2s.demand_read_committed();
    -- Whoever locks documents does so by id, in one go.
    IF EXISTS (SELECT FROM unnest(documents) AS d WHERE d.outcome <> 'succeeded') THEN
        RETURN QUERY
        SELECT c.* FROM l2s.complete_each(complete.worker_id, complete.lease_id, documents) AS c
        WHERE c.verdict <> 'recorded';
        RETURN;
    END IF;
    SELECT l.* INTO lease FROM l2s.lease l
    WHERE l.id = complete.lease_id AND l.worker_id = complete.worker_id FOR UPDATE;
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
            claimed_at, finished_at, output, mode, model, tokens_in, tokens_out, batch_size, shared, parts,
            truncated, cut_off, queue_ms, tokenize_ms, batch_wait_ms, encode_ms, handoff_ms, decode_ms,
            writeback_ms)
        SELECT
            w.id, w.job_type, w.group_id, (SELECT l2s.mark(pg_current_xact_id())), lease.id, lease.worker_id, true,
            w.attempt, lease.claimed_at, stamp, w.output, w.mode, w.model, w.tokens_in,
            w.tokens_out, w.batch_size, w.shared, w.parts, w.truncated, w.cut_off, w.queue_ms,
            w.tokenize_ms,
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
        SELECT c.* FROM l2s.complete_each(complete.worker_id, complete.lease_id, ARRAY(
            SELECT d FROM unnest(documents) AS d WHERE d.id <> ALL (coalesce(wrote.ids, '{}'))
        )) AS c
        WHERE c.verdict <> 'recorded';
    END IF;
END $$;
CREATE FUNCTION l2s.complete_each(worker_id bigint, lease_id bigint, documents l2s.completion[]) RETURNS TABLE(document_id bigint, verdict text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE
    lease   l2s.lease;
    held    bigint[] := '{}';
    again   bigint[];
    dropped bigint[];
    heard   bigint[];
    others  bigint[];
    stamp   timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN PERFORM l2s.demand_read_committed(); END IF;
    SELECT l.* INTO lease FROM l2s.lease l
    WHERE l.id = complete_each.lease_id AND l.worker_id = complete_each.worker_id FOR UPDATE;
    IF FOUND THEN
        stamp := clock_timestamp();
        WITH held AS MATERIALIZED (
            SELECT
                r.*, q.document_id, q.job_type, q.group_id, q.run_at, q.cancelled, q.notify,
                q.earlier, q.errors, q.crashes
            FROM unnest(documents) AS r
            JOIN l2s.queue q ON q.document_id = r.id
            WHERE q.state = 1 AND q.lease_id = lease.id
            ORDER BY q.document_id FOR UPDATE OF q
        ), judged AS MATERIALIZED (
            SELECT
                h.*, h.earlier + h.errors + h.crashes + 1 AS attempt,
                h.outcome = 'succeeded' AND NOT h.cancelled AS succeeded,
                h.cancelled OR h.outcome <> 'failed' OR h.errors + 1 >= (
                    SELECT t.maximum_attempts FROM l2s.job_type t WHERE t.id = h.job_type) AS final,
                extract(epoch FROM lease.claimed_at - h.run_at) * 1000 AS queue_ms,
                -- What is left of claim to finish: the stages sum to it.
                extract(epoch FROM stamp - lease.claimed_at) * 1000 - (
                    h.tokenize_ms + h.batch_wait_ms + h.encode_ms + h.handoff_ms + h.decode_ms
                ) AS writeback_ms
            FROM held h
        ), results AS (
            INSERT INTO l2s.result (
                document_id, job_type, group_id, written_in, lease_id, worker_id, succeeded,
                cancelled, attempt, claimed_at, finished_at, output, error, mode, model, tokens_in,
                tokens_out, batch_size, shared, parts, truncated, cut_off, queue_ms, tokenize_ms,
                batch_wait_ms, encode_ms, handoff_ms, decode_ms, writeback_ms)
            SELECT
                j.document_id, j.job_type, j.group_id, (SELECT l2s.mark(pg_current_xact_id())), lease.id,
                lease.worker_id, j.succeeded, j.cancelled, j.attempt, lease.claimed_at, stamp,
                CASE WHEN j.succeeded THEN j.output END,
                CASE WHEN j.cancelled THEN 'cancelled' ELSE j.reason END,
                j.mode, j.model, j.tokens_in, j.tokens_out, j.batch_size, j.shared, j.parts, j.truncated,
                j.cut_off, j.queue_ms, j.tokenize_ms, j.batch_wait_ms, j.encode_ms, j.handoff_ms, j.decode_ms,
                j.writeback_ms
            FROM judged j WHERE j.final
        ), removed AS (
            -- By key and not by place: a row that was updated while `held` waited for its lock lies at a
            -- place that this statement's snapshot does not see.
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
        ), errors AS (
            INSERT INTO l2s.attempt_error (
                document_id, attempt, lease_id, worker_id, kind, claimed_at, failed_at, reason,
                mode, model, tokens_in, tokens_out, batch_size, queue_ms, tokenize_ms,
                batch_wait_ms, encode_ms, handoff_ms, decode_ms, writeback_ms)
            SELECT
                j.document_id, j.attempt, lease.id, lease.worker_id, j.outcome, lease.claimed_at,
                stamp, j.reason, j.mode, j.model, j.tokens_in, j.tokens_out, j.batch_size,
                j.queue_ms, j.tokenize_ms, j.batch_wait_ms, j.encode_ms, j.handoff_ms, j.decode_ms,
                j.writeback_ms
            FROM judged j WHERE j.outcome <> 'succeeded'
        ), batch AS (
            UPDATE l2s.lease l SET
                succeeded = l.succeeded + sums.succeeded, retried = l.retried + sums.retried,
                failed = l.failed + sums.failed, cancelled = l.cancelled + sums.cancelled,
                tokens_in = l.tokens_in + sums.tokens_in,
                tokens_out = l.tokens_out + sums.tokens_out,
                tokenize_ms = l.tokenize_ms + sums.tokenize_ms,
                encode_ms = l.encode_ms + sums.encode_ms,
                handoff_ms = greatest(l.handoff_ms, sums.handoff_ms),
                decode_ms = greatest(l.decode_ms, sums.decode_ms)
            FROM (
                SELECT
                    count(*) FILTER (WHERE j.succeeded) AS succeeded,
                    count(*) FILTER (WHERE NOT j.final) AS retried,
                    count(*) FILTER (WHERE j.final AND NOT j.succeeded AND NOT j.cancelled)
                        AS failed,
                    count(*) FILTER (WHERE j.cancelled) AS cancelled,
                    coalesce(sum(j.tokens_in), 0) AS tokens_in,
                    coalesce(sum(j.tokens_out), 0) AS tokens_out,
                    coalesce(sum(j.tokenize_ms), 0) AS tokenize_ms,
                    coalesce(sum(j.encode_ms / nullif(j.batch_size, 0)), 0) AS encode_ms,
                    coalesce(max(j.handoff_ms), 0) AS handoff_ms,
                    coalesce(max(j.decode_ms), 0) AS decode_ms
                FROM judged j) AS sums
            WHERE l.id = lease.id
        )
        SELECT
            array_agg(j.document_id) FILTER (WHERE j.document_id IS NOT NULL),
            coalesce(array_agg(j.document_id) FILTER (WHERE NOT j.final), '{}'),
            coalesce(array_agg(j.document_id) FILTER (WHERE j.cancelled), '{}'),
            array_agg(j.document_id) FILTER (WHERE j.final AND j.notify),
            array_agg(r.id) FILTER (WHERE j.document_id IS NULL)
        INTO held, again, dropped, heard, others
        FROM unnest(documents) AS r LEFT JOIN judged j ON j.document_id = r.id;
        IF heard IS NOT NULL THEN
            PERFORM l2s.announce(heard);
        END IF;
        IF dropped <> '{}' THEN
            DELETE FROM l2s.dedupe d WHERE d.document_id = ANY (dropped);
        END IF;
        PERFORM l2s.let_go(lease.id, held, 'finished');
        RETURN QUERY
        SELECT h.id, CASE
            WHEN h.id = ANY (again) THEN 'retried'
            WHEN h.id = ANY (dropped) THEN 'cancelled'
            ELSE 'recorded' END
        FROM unnest(held) AS h(id);
    ELSE
        others := ARRAY(SELECT d.id FROM unnest(documents) AS d);
    END IF;
    -- What became of those that it does not hold, in this lease's name.
    IF others IS NOT NULL THEN
        RETURN QUERY
        SELECT o.id, CASE
            WHEN r.cancelled THEN 'cancelled'
            WHEN e.kind = 'crashed' THEN 'stale'  -- by l2s.rescue
            WHEN r.cancelled IS NOT NULL THEN 'recorded'
            WHEN e.kind IS NOT NULL THEN 'retried'
            ELSE 'stale' END
        FROM unnest(others) AS o(id)
        -- LIMIT keeps the planner from ever scanning these tables.
        LEFT JOIN LATERAL (
            SELECT f.kind FROM l2s.attempt_error f
            WHERE f.document_id = o.id AND f.lease_id = complete_each.lease_id
              AND f.worker_id = complete_each.worker_id LIMIT 1) AS e ON true
        LEFT JOIN LATERAL (
            SELECT s.cancelled FROM l2s.result s
            WHERE s.document_id = o.id AND s.lease_id = complete_each.lease_id
              AND s.worker_id = complete_each.worker_id LIMIT 1) AS r ON true;
    END IF;
END $$;
CREATE FUNCTION l2s.completed(after text DEFAULT NULL::text, "group" text DEFAULT NULL::text, documents integer DEFAULT 1000) RETURNS TABLE(key text, id bigint, job_type text, state text, output text, error text, finished_at timestamp with time zone, tokens_in integer, tokens_out integer, cut_off integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
#variable_conflict use_column
DECLARE
    past bigint := 0;
    seen bigint := 0;
    rest bigint := l2s.mark(pg_snapshot_xmin(pg_current_snapshot()));
    runs bigint[];
    page bigint[];
    low  bigint;
    high bigint;
    all_producers boolean := l2s.sees_all();
BEGIN
    IF NOT l2s.is_at_home() THEN
        RAISE EXCEPTION 'the database was restored or moved, and results of before and after could mix'
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Run l2s migrate, or start a worker. Either begins a new epoch. Older keys stay '
                'valid: new results come after them.';
    END IF;
    IF after IS NOT NULL THEN
        IF after !~ '^[0-9]{1,18}-[0-9]{1,18}$' THEN
            RAISE EXCEPTION 'expected after to be a key of l2s.completed, got %', quote_literal(after)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        past := split_part(after, '-', 1)::bigint;
        seen := split_part(after, '-', 2)::bigint;
    END IF;
    IF documents < 0 THEN
        RAISE EXCEPTION 'expected documents to be 0 or more, got %', documents
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF "group" IS NULL THEN
        page := ARRAY(
            SELECT r.document_id FROM l2s.result r
            WHERE (r.written_in, r.document_id) > (past, seen) AND r.written_in < rest
              AND (all_producers OR EXISTS (
                  SELECT FROM l2s.document d
                  WHERE d.id = r.document_id AND d.producer = l2s.caller()))
            ORDER BY r.written_in, r.document_id LIMIT completed.documents);
    ELSE
        runs := l2s.group_ids("group");
        page := ARRAY(
            SELECT s.document_id FROM unnest(runs) AS run(id)
            CROSS JOIN LATERAL (
                SELECT r.written_in, r.document_id FROM l2s.result r
                WHERE r.group_id = run.id AND (r.written_in, r.document_id) > (past, seen)
                  AND r.written_in < rest
                  AND (all_producers OR EXISTS (
                      SELECT FROM l2s.document d
                      WHERE d.id = r.document_id AND d.producer = l2s.caller()))
                ORDER BY r.group_id, r.written_in, r.document_id LIMIT completed.documents) AS s
            ORDER BY s.written_in, s.document_id LIMIT completed.documents);
    END IF;
    SELECT min(p.id), max(p.id) INTO low, high FROM unnest(page) AS p(id);
    RETURN QUERY
    SELECT
        r.written_in || '-' || r.document_id, r.document_id, t.name,
        CASE WHEN r.succeeded THEN 'succeeded' WHEN r.cancelled THEN 'cancelled' ELSE 'failed' END,
        r.output, r.error, r.finished_at, r.tokens_in, r.tokens_out, r.cut_off
    FROM l2s.result r JOIN l2s.job_type t ON t.id = r.job_type
    WHERE r.document_id = ANY (page) AND r.document_id BETWEEN low AND high
    ORDER BY r.written_in, r.document_id;
END $_$;
COMMENT ON FUNCTION l2s.completed(after text, "group" text, documents integer) IS 'Returns at most `documents` finished documents, of a group or of all, in the order of their completion,
beginning after a key. Keep the key of the last row and pass it to the next call. No document is ever left
out.';
CREATE FUNCTION l2s.count_finished() RETURNS TABLE(job_type integer, succeeded bigint, failed bigint, cancelled bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        t.job_type, sum(t.succeeded)::bigint, sum(t.failed)::bigint, sum(t.cancelled)::bigint
    FROM (
        SELECT y.part, y.job_type, y.succeeded, y.failed, y.cancelled FROM l2s.tally y
        UNION ALL
        SELECT * FROM l2s.count_results(
            (SELECT c.until FROM l2s.tallied c), 9223372036854775807)) AS t
    GROUP BY t.job_type;
END $$;
COMMENT ON FUNCTION l2s.count_finished() IS 'For each job type, how many of the documents that are kept are finished.';
CREATE TABLE l2s.minute (
    minute timestamp with time zone NOT NULL,
    job_type integer NOT NULL,
    documents bigint NOT NULL,
    failures bigint NOT NULL,
    tokens_in bigint NOT NULL,
    tokens_out bigint NOT NULL,
    seconds double precision NOT NULL,
    queue_ms double precision[],
    encode_ms double precision[],
    decode_ms double precision[],
    total_ms double precision[]
);
COMMENT ON TABLE l2s.minute IS 'The rows of l2s.throughput for minutes that are over. Arrays hold the 50th, 95th and 99th percentiles.';
CREATE FUNCTION l2s.count_minutes(since timestamp with time zone, until timestamp with time zone) RETURNS SETOF l2s.minute
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        date_trunc('minute', r.finished_at),
        r.job_type,
        count(*),
        count(*) FILTER (WHERE NOT r.succeeded),
        coalesce(sum(r.tokens_in), 0),
        coalesce(sum(r.tokens_out), 0),
        -- The part of the minute in which there was work: a run of ten seconds is not diluted.
        greatest(extract(epoch FROM
            max(r.finished_at)
                - greatest(min(r.claimed_at), date_trunc('minute', min(r.finished_at)))
        ), 0.001)::double precision,
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.queue_ms),
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.encode_ms),
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.decode_ms),
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
            ORDER BY r.queue_ms + extract(epoch FROM r.finished_at - r.claimed_at)::double precision
                * 1000)
    FROM l2s.result r
    WHERE r.finished_at >= since AND r.finished_at < until AND NOT r.cancelled
    GROUP BY date_trunc('minute', r.finished_at), r.job_type;
END $$;
CREATE FUNCTION l2s.count_past() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    since timestamptz;
    ends  timestamptz := date_trunc('minute', clock_timestamp()) - interval '2 minutes';
    rows  integer;
BEGIN
    PERFORM l2s.tally_results();
    SELECT c.until INTO since FROM l2s.counted c FOR UPDATE;
    IF since = '-infinity' THEN
        SELECT date_trunc('minute', min(r.finished_at)) INTO since FROM l2s.result r;
    END IF;
    IF since IS NULL OR since >= ends THEN
        RETURN 0;
    END IF;
    ends := least(ends, since + interval '6 hours');
    INSERT INTO l2s.minute SELECT * FROM l2s.count_minutes(since, ends);
    GET DIAGNOSTICS rows = ROW_COUNT;
    UPDATE l2s.counted c SET until = ends;
    RETURN rows;
END $$;
CREATE FUNCTION l2s.count_results(since bigint, until bigint) RETURNS TABLE(part integer, job_type integer, succeeded bigint, failed bigint, cancelled bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $_$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        (SELECT substring(c.relname FROM '[0-9]+$')::integer FROM pg_class c WHERE c.oid = r.tableoid),
        r.job_type,
        count(*) FILTER (WHERE r.succeeded),
        count(*) FILTER (WHERE NOT r.succeeded AND NOT r.cancelled),
        count(*) FILTER (WHERE r.cancelled)
    FROM l2s.result r
    WHERE r.written_in >= count_results.since AND r.written_in < count_results.until
    GROUP BY r.tableoid, r.job_type;
END $_$;
CREATE FUNCTION l2s.demand_read_committed() RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'expected isolation level read committed, got %',
            current_setting('transaction_isolation') USING
            ERRCODE = 'invalid_transaction_state',
            HINT = 'Begin the transaction with BEGIN ISOLATION LEVEL READ COMMITTED, or set '
                'default_transaction_isolation to it for the role that calls this.';
    END IF;
END $$;
CREATE TABLE l2s.part (
    number integer NOT NULL,
    first_id bigint NOT NULL,
    after_id bigint NOT NULL,
    opened_at timestamp with time zone,
    closed_at timestamp with time zone,
    CONSTRAINT part_check CHECK ((first_id < after_id))
);
COMMENT ON TABLE l2s.part IS 'The partitions of document, result and attempt_error. Each holds the ids from first_id up to, but not
including, after_id. Each also covers a span of time, because a new one is begun after
setting.part_every.';
CREATE FUNCTION l2s.drop_part(part l2s.part, keep interval, OUT done text, OUT more boolean, OUT failed boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '0'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $_$
DECLARE
    parent text;
    kept   bigint;
    recent boolean;
    looked bigint;
    began  timestamptz;
BEGIN
    more := false;
    failed := false;
    looked := l2s.mark(pg_snapshot_xmin(pg_current_snapshot()));
    kept := l2s.unfinished_in(part);
    IF kept > 0 THEN
        done := format(
            'kept document_%s: %s documents in it are not finished', part.number,
            CASE WHEN kept < 1000 THEN kept::text ELSE '1000 or more' END);
        RETURN;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM l2s.result_%s WHERE finished_at > clock_timestamp() - $1)',
        part.number) INTO recent USING keep;
    IF recent THEN
        RETURN;
    END IF;
    IF l2s.forget_keys(part) > 0 THEN
        more := true;
        RETURN;
    END IF;
    -- These locks keep everybody from putting a document of the part into the queue, whether for the
    -- first time or again, and they wait until those who were doing so have committed. Parents are
    -- locked first, as statements lock them. In the opposite order, this and a claim could wait for
    -- each other. Everybody else waits behind a lock that this waits for, so all six may take 40 ms
    -- together.
    began := clock_timestamp();
    FOREACH parent IN ARRAY ARRAY[
        'ONLY l2s.document', 'ONLY l2s.result', 'ONLY l2s.attempt_error',
        'l2s.document_' || part.number, 'l2s.result_' || part.number,
        'l2s.attempt_error_' || part.number]
    LOOP
        PERFORM set_config('lock_timeout', greatest(
            40 - extract(epoch FROM clock_timestamp() - began) * 1000, 1)::integer || 'ms', true);
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', parent);
    END LOOP;
    EXECUTE format(
        'SELECT EXISTS (
            SELECT FROM l2s.result_%s
            WHERE written_in >= $1 AND finished_at > clock_timestamp() - $2)', part.number)
        INTO recent USING looked, keep;
    IF recent OR l2s.unfinished_in(part) > 0 THEN
        -- The error ends the block, which frees the locks at once.
        RAISE lock_not_available;
    END IF;
    FOREACH parent IN ARRAY ARRAY['attempt_error', 'result', 'document'] LOOP
        EXECUTE format('DROP TABLE l2s.%I', parent || '_' || part.number);
    END LOOP;
    DELETE FROM l2s.part p WHERE p.number = part.number;
    more := true;
    done := format(
        'dropped document_%s with the documents that were enqueued from %s to %s', part.number,
        part.opened_at, part.closed_at);
EXCEPTION
    WHEN lock_not_available THEN
        more := false;
        done := format('kept document_%s for now: another transaction uses it', part.number);
    WHEN OTHERS THEN
        more := false;
        failed := true;
        done := format('could not drop document_%s: %s (%s)', part.number, SQLERRM, SQLSTATE);
END $_$;
CREATE FUNCTION l2s.due_length_classes(worker_id bigint, heads l2s.head[]) RETURNS SETOF smallint
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION l2s.elect(chore text, every interval) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE l2s.chore c SET at = clock_timestamp()
    WHERE c.name = (
        SELECT d.name FROM l2s.chore d
        WHERE d.name = elect.chore AND d.at <= clock_timestamp() - elect.every
        FOR NO KEY UPDATE SKIP LOCKED);
    RETURN FOUND;
END $$;
CREATE FUNCTION l2s.end_cancelled(documents bigint[], lease_id bigint, worker_id bigint, claimed_at timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO l2s.result (
        document_id, job_type, group_id, written_in, lease_id, worker_id, succeeded, cancelled,
        attempt, claimed_at, finished_at, error, queue_ms)
    SELECT
        q.document_id, q.job_type, q.group_id, (SELECT l2s.mark(pg_current_xact_id())),
        end_cancelled.lease_id, end_cancelled.worker_id, false, true,
        q.earlier + q.errors + q.crashes + (end_cancelled.lease_id IS NOT NULL)::integer,
        end_cancelled.claimed_at, clock_timestamp(), 'cancelled',
        extract(epoch FROM end_cancelled.claimed_at - q.run_at) * 1000
    FROM l2s.queue q WHERE q.document_id = ANY (documents);
    PERFORM l2s.announce(ARRAY(
        SELECT q.document_id FROM l2s.queue q WHERE q.document_id = ANY (documents) AND q.notify));
    DELETE FROM l2s.queue q WHERE q.document_id = ANY (documents);
    -- Who enqueues the same again means it.
    DELETE FROM l2s.dedupe d WHERE d.document_id = ANY (documents);
END $$;
CREATE FUNCTION l2s.enqueue(job_types text[], document text, priority integer DEFAULT 0, run_at timestamp with time zone DEFAULT now(), dedupe_key text DEFAULT NULL::text, metadata jsonb DEFAULT NULL::jsonb, "group" text DEFAULT NULL::text, tenant text DEFAULT NULL::text, notify boolean DEFAULT false) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
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
COMMENT ON FUNCTION l2s.enqueue(job_types text[], document text, priority integer, run_at timestamp with time zone, dedupe_key text, metadata jsonb, "group" text, tenant text, notify boolean) IS 'Puts a document through several job types, 64 at most, and returns the jobs'' ids in the order of the
types. The text is stored once, and read once where that is possible. Each job has its own result, retries
and times, and is cancelled by itself. dedupe_key holds for each job type: a type that already has a job
with this key gets no further one, and the known id is returned. All other arguments are as for one job
type.';
CREATE FUNCTION l2s.enqueue(job_type text, document text, priority integer DEFAULT 0, run_at timestamp with time zone DEFAULT now(), dedupe_key text DEFAULT NULL::text, metadata jsonb DEFAULT NULL::jsonb, "group" text DEFAULT NULL::text, tenant text DEFAULT NULL::text, notify boolean DEFAULT false) RETURNS bigint
    LANGUAGE sql
    RETURN (l2s.enqueue(ARRAY[job_type], document, priority, run_at, dedupe_key, metadata, "group", tenant, notify))[1];
COMMENT ON FUNCTION l2s.enqueue(job_type text, document text, priority integer, run_at timestamp with time zone, dedupe_key text, metadata jsonb, "group" text, tenant text, notify boolean) IS 'Puts a document through a job type and returns the job''s id.
priority: jobs with a greater one are claimed first.
run_at: the job is not claimed before this time.
dedupe_key: if a job of this type and key exists, its id is returned and nothing is enqueued, until
setting.keep is over or the job was cancelled. Enqueue many keys in their order; otherwise two
transactions can deadlock.
metadata: it has at most 8192 bytes and is kept with the job. l2s reads traceparent, the W3C trace context
that the worker''s spans continue, and the fields that the job type''s prompts contain, which are texts of
1 to 1000 bytes.
group: the documents of a group can be watched, waited for and cancelled together. Write "group", because
SQL reserves the word.
tenant: tenants take turns within a priority.
notify: the id is sent on channel l2s_done when the job is finished.
Over a table: SELECT l2s.enqueue(''summarize'', body) FROM articles';
CREATE FUNCTION l2s.fall_idle(worker_id bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE l2s.worker w SET idle = true WHERE w.id = fall_idle.worker_id AND NOT w.idle;
END $$;
CREATE FUNCTION l2s.finish_groups() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    candidate record;
    open      bigint[];
    held      bigint[];
    finished  integer := 0;
    apart     boolean := l2s.are_producers_apart();
BEGIN
    PERFORM l2s.demand_read_committed();
    IF NOT l2s.elect('groups', '500 milliseconds') THEN
        RETURN 0;
    END IF;
    FOR candidate IN
        SELECT DISTINCT g.name, CASE WHEN apart THEN g.producer END AS producer FROM l2s.group_run g
        WHERE g.finished_at IS NULL
          AND NOT EXISTS (SELECT FROM l2s.queue q WHERE q.group_id = g.id)
    LOOP
        open := ARRAY(
            SELECT g.id FROM l2s.group_run g
            WHERE g.name = candidate.name AND g.finished_at IS NULL
              AND (g.producer = candidate.producer OR NOT apart)
            ORDER BY g.id);
        held := ARRAY(
            SELECT g.id FROM l2s.group_run g
            WHERE g.id = ANY (open) AND g.finished_at IS NULL ORDER BY g.id FOR UPDATE SKIP LOCKED);
        CONTINUE WHEN held <> open OR EXISTS (
            SELECT FROM l2s.queue q WHERE q.group_id = ANY (open));
        UPDATE l2s.group_run g SET finished_at = clock_timestamp() WHERE g.id = ANY (open);
        PERFORM l2s.notify('l2s_groups', candidate.name);
        finished := finished + 1;
    END LOOP;
    RETURN finished;
END $$;
CREATE FUNCTION l2s.forget_keys(part l2s.part, keys integer DEFAULT 10000) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM l2s.dedupe d WHERE d.ctid = ANY (ARRAY(
        SELECT e.ctid FROM l2s.dedupe e
        WHERE e.document_id >= part.first_id AND e.document_id < part.after_id
        ORDER BY e.document_id LIMIT forget_keys.keys FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
CREATE FUNCTION l2s.forget_past(keep interval, rows integer DEFAULT 5000) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    total integer := 0;
    gone  integer;
    -- A lease's id begins with its time.
    oldest bigint := greatest(
        extract(epoch FROM clock_timestamp() - keep) * 1000, 0)::bigint << 20;
BEGIN
    DELETE FROM l2s.batch b WHERE b.lease_id = ANY (ARRAY(
        SELECT c.lease_id FROM l2s.batch c WHERE c.lease_id < oldest
        ORDER BY c.lease_id LIMIT forget_past.rows));
    GET DIAGNOSTICS gone = ROW_COUNT;
    total := total + gone;
    DELETE FROM l2s.group_run g WHERE g.id = ANY (ARRAY(
        SELECT h.id FROM l2s.group_run h
        WHERE h.finished_at IS NOT NULL AND h.finished_at < clock_timestamp() - keep * 2
        ORDER BY h.finished_at LIMIT forget_past.rows));
    GET DIAGNOSTICS gone = ROW_COUNT;
    total := total + gone;
    DELETE FROM l2s.worker w WHERE w.seen_at < clock_timestamp() - keep - interval '1 day'
        AND NOT EXISTS (SELECT FROM l2s.lease l WHERE l.worker_id = w.id);
    RETURN total;
END $$;
CREATE FUNCTION l2s.forget_tally() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM l2s.tally t WHERE t.part = OLD.number;
    RETURN NULL;
END $$;
CREATE FUNCTION l2s.grant_roles() RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    role_name text;
    call      record;
BEGIN
    -- PostgreSQL lets everybody call a new function.
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA l2s FROM PUBLIC;
    FOREACH role_name IN ARRAY ARRAY['l2s_producer', 'l2s_reader', 'l2s_worker', 'l2s_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION
                WHEN insufficient_privilege THEN
                    RETURN NEXT format('CREATE ROLE %I NOLOGIN;', role_name);
                    CONTINUE;
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- Another database of this server was faster.
            END;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA l2s TO %I', role_name);
        FOR call IN
            SELECT f.oid::regprocedure AS name FROM pg_proc f
            JOIN l2s.permission p ON p.function = f.proname
            WHERE f.pronamespace = 'l2s'::regnamespace AND p.role = role_name
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', call.name, role_name);
        END LOOP;
        EXECUTE format('GRANT SELECT ON l2s.migration TO %I', role_name);
        IF role_name = 'l2s_producer' THEN
            EXECUTE format('GRANT SELECT ON l2s.jobs, l2s.groups TO %I', role_name);
        ELSIF role_name = 'l2s_worker' THEN
            -- What it counts and shows. Texts it gets by its claims only, and the ids of leases, which
            -- prove that a batch is its own, by these too.
            EXECUTE format(
                'GRANT SELECT ON l2s.worker, l2s.encoder, l2s.job_type, l2s.setting, l2s.cluster TO %I',
                role_name);
            FOR call IN
                SELECT a.attrelid::regclass AS name, string_agg(quote_ident(a.attname), ', ') AS columns
                FROM pg_attribute a
                WHERE a.attrelid IN ('l2s.queue'::regclass, 'l2s.lease'::regclass, 'l2s.result'::regclass)
                  AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (
                      CASE a.attrelid
                          WHEN 'l2s.lease'::regclass THEN '{id}'
                          WHEN 'l2s.queue'::regclass THEN '{lease_id}'
                          ELSE '{lease_id,output}' END::text[])
                GROUP BY a.attrelid
            LOOP
                EXECUTE format('REVOKE SELECT ON %s FROM %I', call.name, role_name);
                EXECUTE format('GRANT SELECT (%s) ON %s TO %I', call.columns, call.name, role_name);
            END LOOP;
        ELSE
            EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA l2s TO %I', role_name);
        END IF;
        IF role_name = 'l2s_admin' THEN
            EXECUTE format('GRANT UPDATE ON l2s.setting TO %I', role_name);
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION l2s.group_ids(name text) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN ARRAY(SELECT g.id FROM l2s.group_run g WHERE g.name = group_ids.name);
END $$;
CREATE FUNCTION l2s.has_text(document text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT
    AS $$
DECLARE
    visible CONSTANT text := E'[^\\u0001-\\u0020\\u007f-\\u00a0\\u00ad\\u1680\\u2000-\\u200f'
        '\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff]';
BEGIN
    RETURN left(document, 4096) ~ visible OR document ~ visible;
END $$;
CREATE FUNCTION l2s.has_work(worker_id bigint, job_types text[]) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM (
            SELECT array_agg(o.id) AS ids FROM l2s.open_job_types(has_work.job_types) AS o GROUP BY o.encoder) AS known
        CROSS JOIN LATERAL l2s.due_length_classes(has_work.worker_id, l2s.heads(known.ids, known.ids)));
END $$;
CREATE FUNCTION l2s.heads(job_types integer[], whole integer[]) RETURNS l2s.head[]
    LANGUAGE plpgsql STABLE
    AS $$
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
CREATE FUNCTION l2s.hear() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    heard   timestamptz;
    silence interval;
BEGIN
    PERFORM l2s.demand_read_committed();
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT c.heard_at INTO heard FROM l2s.contact c
    WHERE clock_timestamp() NOT BETWEEN c.heard_at AND c.heard_at + interval '1 second'
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- A clock that was set back, or that of another server, counts like a long silence.
    silence := clock_timestamp() - heard;
    silence := greatest(silence, -silence);
    IF silence >= interval '3 seconds' THEN
        -- Shorter ones ended earlier, so this one covers them. Others are over for all leases that
        -- they were long enough for: those of at most twice their length.
        DELETE FROM l2s.silence s
        WHERE s.length <= silence
           OR clock_timestamp() NOT BETWEEN s.ended_at AND s.ended_at + 2 * s.length;
        INSERT INTO l2s.silence VALUES (silence, clock_timestamp());
    END IF;
    UPDATE l2s.contact c SET heard_at = clock_timestamp();
END $$;
CREATE FUNCTION l2s.heartbeat(worker_id bigint, leases bigint[], draining boolean) RETURNS TABLE(lease_id bigint, cancelled bigint[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
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
CREATE FUNCTION l2s.is_at_home() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN coalesce(
        (SELECT c.identity FROM l2s.cluster c) = l2s.cluster_identity(), true);
END $$;
CREATE FUNCTION l2s.is_heard(duration interval) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    -- The time that a call may take on its way, however short the leases are.
    pause interval := greatest(duration / 2, interval '15 seconds');
BEGIN
    RETURN EXISTS (
            SELECT FROM l2s.contact c
            WHERE clock_timestamp() BETWEEN c.heard_at - pause AND c.heard_at + pause)
        AND NOT EXISTS (
            SELECT FROM l2s.silence s
            WHERE s.length >= duration / 2
              AND clock_timestamp() BETWEEN s.ended_at AND s.ended_at + duration);
END $$;
CREATE FUNCTION l2s.last_turn(job_type integer, tenant integer, rank smallint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION l2s.length_class(tokens integer) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (CASE WHEN (tokens <= 128) THEN 0 WHEN (tokens <= 256) THEN 1 WHEN (tokens <= 512) THEN 2 WHEN (tokens <= 1024) THEN 3 WHEN (tokens <= 2048) THEN 4 ELSE 5 END)::smallint;
CREATE FUNCTION l2s.less_room(rooms integer[], job_types integer[], documents bigint[]) RETURNS integer[]
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN ARRAY(
        SELECT (r.room - (SELECT count(*) FROM l2s.queue q
                          WHERE q.document_id = ANY (documents) AND q.job_type = r.job_type))::integer
        FROM unnest(rooms, job_types) WITH ORDINALITY AS r(room, job_type, place) ORDER BY r.place);
END $$;
CREATE FUNCTION l2s.let_go(lease_id bigint, documents bigint[], outcome text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    rest bigint[];
BEGIN
    UPDATE l2s.lease l SET held = ARRAY(
        SELECT h.id FROM unnest(l.held) AS h(id) EXCEPT
        SELECT d.id FROM unnest(let_go.documents) AS d(id))
    WHERE l.id = let_go.lease_id RETURNING l.held INTO rest;
    IF rest = '{}' THEN
        PERFORM l2s.close_lease(let_go.lease_id, let_go.outcome);
    END IF;
END $$;
CREATE FUNCTION l2s.maintain(at_once boolean DEFAULT false) RETURNS TABLE(done text, more boolean, failed boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    known l2s.setting;
    part  l2s.part;
    step  record;
    rest  boolean := false;
    gone  integer;
BEGIN
    PERFORM l2s.demand_read_committed();
    IF NOT l2s.elect('maintain', CASE WHEN at_once THEN '0' ELSE '1 minute' END::interval) THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM l2s.setting;
    RETURN QUERY SELECT b.line, false, false FROM l2s.begin_parts(known.part_every) AS b(line);
    -- Before the documents that are counted may go.
    IF l2s.count_past() > 0 THEN
        rest := true;
        RETURN QUERY SELECT 'counted the throughput of minutes that are over', true, false;
    ELSIF known.keep IS NOT NULL THEN
        FOR part IN
            SELECT p.* FROM l2s.part p
            WHERE p.closed_at <= clock_timestamp() - known.keep ORDER BY p.number
        LOOP
            SELECT * INTO step FROM l2s.drop_part(part, known.keep);
            rest := step.more;
            IF step.done IS NOT NULL OR rest THEN
                RETURN QUERY SELECT step.done, step.more, step.failed;
            END IF;
            EXIT WHEN rest;
        END LOOP;
        IF NOT rest THEN
            gone := l2s.forget_past(known.keep);
            IF gone > 0 THEN
                rest := true;
                RETURN QUERY SELECT format('deleted %s batches and groups', gone), true, false;
            END IF;
        END IF;
    END IF;
    IF rest THEN
        UPDATE l2s.chore c SET at = '-infinity' WHERE c.name = 'maintain';
    END IF;
END $$;
COMMENT ON FUNCTION l2s.maintain(at_once boolean) IS 'Creates and drops partitions and counts throughput. Once a minute, the worker that comes first does it.
With true it is done now; call it again while a row says `more`. setting.keep says how long documents are
kept.';
CREATE FUNCTION l2s.mark(transaction xid8) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN (SELECT (c.epoch::bigint << 42) + mark.transaction::text::bigint FROM l2s.cluster c);
END $$;
CREATE FUNCTION l2s.move_floors(job_types integer[], whole integer[], heads l2s.head[], passed bigint, stamp timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION l2s.note_agreement(worker_id bigint, lease_id bigint, documents json) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
    WITH noted AS (
        UPDATE l2s.result r SET agreement = d.agreement
        FROM json_to_recordset(note_agreement.documents) AS d(id bigint, agreement real)
        WHERE d.agreement IS NOT NULL AND r.agreement IS NULL
          AND r.document_id = d.id AND r.lease_id = note_agreement.lease_id
          AND r.worker_id = note_agreement.worker_id
        RETURNING r.job_type, date_trunc('minute', r.finished_at) AS minute, r.agreement)
    INSERT INTO l2s.shadow_minute AS m (minute, job_type, documents, agreement)
    SELECT n.minute, n.job_type, count(*), sum(n.agreement)
    FROM noted n GROUP BY n.minute, n.job_type ORDER BY n.minute, n.job_type
    ON CONFLICT (minute, job_type) DO UPDATE SET
        documents = m.documents + excluded.documents,
        agreement = m.agreement + excluded.agreement
$$;
CREATE FUNCTION l2s.notify(channel text, payload text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify(channel, payload);
    END IF;
END $$;
CREATE FUNCTION l2s.open_group(name text, producer text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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
CREATE FUNCTION l2s.open_groups(groups integer DEFAULT 100) RETURNS TABLE(name text, waiting bigint, delayed bigint, running bigint, succeeded bigint, failed bigint, cancelled bigint, lately bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
WITH unfinished AS (
    SELECT
        q.group_id, count(*) FILTER (WHERE q.state = 0) AS waiting,
        count(*) FILTER (WHERE q.state = 1) AS running,
        count(*) FILTER (WHERE q.state = 2) AS delayed
    FROM l2s.queue q WHERE q.group_id IS NOT NULL GROUP BY q.group_id
), latest AS (
    SELECT
        run.name, max(run.id) AS id, sum(u.waiting)::bigint AS waiting,
        sum(u.delayed)::bigint AS delayed, sum(u.running)::bigint AS running
    FROM unfinished u JOIN l2s.group_run run ON run.id = u.group_id
    WHERE (SELECT l2s.sees_all()) OR run.producer = (SELECT l2s.caller())
    GROUP BY run.name ORDER BY max(run.id) DESC LIMIT groups
), minute AS (
    SELECT run.name, count(*) AS finished
    FROM l2s.result r JOIN l2s.group_run run ON run.id = r.group_id
    WHERE r.finished_at > statement_timestamp() - interval '1 minute' AND NOT r.cancelled
      AND ((SELECT l2s.sees_all()) OR run.producer = (SELECT l2s.caller()))
    GROUP BY run.name
)
SELECT
    g.name, g.waiting, g.delayed, g.running,
    CASE WHEN d.finished <= 1000000 THEN d.succeeded END,
    CASE WHEN d.finished <= 1000000 THEN d.failed END,
    CASE WHEN d.finished <= 1000000 THEN d.cancelled END,
    coalesce(m.finished, 0)
FROM latest g
CROSS JOIN LATERAL (
    SELECT
        count(*) AS finished, count(*) FILTER (WHERE one.succeeded) AS succeeded,
        count(*) FILTER (WHERE NOT one.succeeded AND NOT one.cancelled) AS failed,
        count(*) FILTER (WHERE one.cancelled) AS cancelled
    FROM (
        SELECT r.succeeded, r.cancelled FROM l2s.result r
        WHERE r.group_id = ANY (ARRAY(
            SELECT run.id FROM l2s.group_run run
            WHERE run.name = g.name
              AND ((SELECT l2s.sees_all()) OR run.producer = (SELECT l2s.caller()))))
        LIMIT 1000001) AS one) AS d
LEFT JOIN minute m ON m.name = g.name
ORDER BY g.id DESC
$$;
COMMENT ON FUNCTION l2s.open_groups(groups integer) IS 'The groups that have unfinished documents, at most `groups` of them, the one begun last first. succeeded,
failed and cancelled are as in l2s.groups, but NULL if they are more than a million together. lately
counts the documents that finished in the last minute, without cancelled ones.';
CREATE FUNCTION l2s.open_job_types(names text[]) RETURNS TABLE(id integer, encoder integer, room integer)
    LANGUAGE plpgsql STABLE
    AS $$
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
CREATE FUNCTION l2s.pause(job_type text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM l2s.set_paused(job_type, true);
END $$;
COMMENT ON FUNCTION l2s.pause(job_type text) IS 'Stops claims of a job type, or of all if none is named. Running documents are finished, and documents
can still be enqueued.';
CREATE FUNCTION l2s.pause_crashing() RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
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
            'documents %s crashed their workers one after the other, and no document of this type '
                'succeeded in between. Look at the logs and the memory of the workers, then run '
                'l2s resume and l2s retry',
            array_to_string(c.documents, ', '))
    FROM crashed c
    WHERE t.id = c.job_type AND NOT t.paused AND NOT EXISTS (
        SELECT FROM l2s.result r
        WHERE r.finished_at >= c.since AND r.job_type = c.job_type AND r.succeeded)
    RETURNING t.name;
END $$;
CREATE FUNCTION l2s.promote(documents integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
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
CREATE FUNCTION l2s.refuse_arguments(wanted text, document text, priority integer, run_at timestamp with time zone, dedupe_key text, metadata jsonb, "group" text, tenant text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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
            HINT = 'Keep the metadata in a table of your own, under the id that l2s.enqueue returns.';
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
CREATE FUNCTION l2s.refuse_document(wanted text, type l2s.job_type, document text, known_types integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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
CREATE FUNCTION l2s.register(host text, pid integer, version text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    INSERT INTO l2s.worker (host, pid, version)
    VALUES (left(register.host, 255), register.pid, left(register.version, 100)) RETURNING id
$$;
CREATE FUNCTION l2s.release(worker_id bigint, lease_id bigint, documents bigint[]) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    lease   l2s.lease;
    held    bigint[];
    dropped bigint[];
BEGIN
    PERFORM l2s.demand_read_committed();
    SELECT l.* INTO lease FROM l2s.lease l
    WHERE l.id = release.lease_id AND l.worker_id = release.worker_id FOR UPDATE;
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
CREATE FUNCTION l2s.rescue(leases integer DEFAULT 16) RETURNS TABLE(rescued_leases integer, suspects integer, dead integer, failures text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
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
          AND l2s.is_heard(l.duration)
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
CREATE TABLE l2s.lease (
    id bigint NOT NULL,
    worker_id bigint NOT NULL,
    encoder integer NOT NULL,
    length_class smallint NOT NULL,
    documents integer NOT NULL,
    held bigint[] NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    duration interval NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    succeeded integer DEFAULT 0 NOT NULL,
    retried integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    cancelled integer DEFAULT 0 NOT NULL,
    tokens_in bigint DEFAULT 0 NOT NULL,
    tokens_out bigint DEFAULT 0 NOT NULL,
    tokenize_ms real DEFAULT 0 NOT NULL,
    encode_ms real DEFAULT 0 NOT NULL,
    handoff_ms real DEFAULT 0 NOT NULL,
    decode_ms real DEFAULT 0 NOT NULL
)
WITH (fillfactor='40', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE l2s.lease IS 'One row for each batch in flight. Its id is the token that every write of the batch must name.';
COMMENT ON COLUMN l2s.lease.held IS 'The documents that it holds.';
CREATE FUNCTION l2s.rescue_lease(lease l2s.lease, OUT suspects integer, OUT dead integer) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE
    held    bigint[];
    dropped bigint[];
    lost    bigint[];
    stamp   timestamptz;
BEGIN
    -- A document that somebody deleted by hand has no part that could hold its result.
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
        'crashed', lease.claimed_at, stamp, 'the worker went silent',
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
            '%s workers went silent with this document, the last two of them with it alone',
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
CREATE FUNCTION l2s.resume(job_type text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM l2s.set_paused(job_type, false);
END $$;
COMMENT ON FUNCTION l2s.resume(job_type text) IS 'Ends l2s.pause of the same job type, or of the whole queue.';
CREATE FUNCTION l2s.retire(worker_id bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    UPDATE l2s.worker w SET idle = false, stopped_at = clock_timestamp()
    WHERE w.id = retire.worker_id
$$;
CREATE FUNCTION l2s.retry(VARIADIC documents bigint[]) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    again   record;
    counted bigint;
    total   integer := 0;
BEGIN
    -- Until this transaction ends, no more results are tallied.
    SELECT t.until INTO counted FROM l2s.tallied t FOR SHARE;
    FOR again IN
        SELECT r.document_id AS id, r.attempt, r.job_type, r.cancelled, r.written_in
        FROM l2s.result r
        WHERE r.document_id = ANY (documents) AND NOT r.succeeded
        ORDER BY r.document_id FOR UPDATE
    LOOP
        INSERT INTO l2s.queue (
            document_id, run_at, job_type, tokens, rank, length_class, state, tenant, group_id, earlier,
            turn, siblings)
        SELECT
            d.id, clock_timestamp(), d.job_type, size.tokens, -d.priority, l2s.length_class(size.tokens), 0,
            flow.tenant, (
                SELECT l2s.open_group(g.name, d.producer) FROM l2s.group_run g WHERE g.id = d.group_id),
            again.attempt,
            size.tokens + l2s.last_turn(d.job_type, flow.tenant, (-d.priority)::smallint),
            d.siblings
        FROM l2s.document d
        CROSS JOIN LATERAL (SELECT octet_length(l2s.text_of(d)) / 4 + 1 AS tokens) AS size
        CROSS JOIN LATERAL (SELECT coalesce(hashtext(d.tenant), 0) AS tenant) AS flow
        WHERE d.id = again.id;
        DELETE FROM l2s.result r WHERE r.document_id = again.id;
        IF again.written_in < counted THEN
            INSERT INTO l2s.tally (part, job_type, succeeded, failed, cancelled)
            SELECT
                p.number, again.job_type, 0, -(NOT again.cancelled)::integer,
                -again.cancelled::integer
            FROM l2s.part p WHERE again.id >= p.first_id AND again.id < p.after_id;
        END IF;
        total := total + 1;
    END LOOP;
    IF total > 0 THEN
        PERFORM l2s.wake();
    END IF;
    RETURN total;
END $$;
COMMENT ON FUNCTION l2s.retry(VARIADIC documents bigint[]) IS 'Puts dead letters and cancelled documents into the queue again, as if they were new, and returns how
many. l2s.attempts keeps their attempts that failed.';
CREATE FUNCTION l2s.sees_all() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN NOT (SELECT s.producers_apart FROM l2s.setting s) OR EXISTS (
        SELECT FROM pg_roles r
        WHERE (r.rolname IN ('l2s_reader', 'l2s_admin')
               OR r.oid = (SELECT c.relowner FROM pg_class c WHERE c.oid = 'l2s.queue'::regclass))
          AND pg_has_role(l2s.caller(), r.oid, 'USAGE'));
END $$;
CREATE FUNCTION l2s.set_jobs_barrier() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    EXECUTE format('ALTER VIEW l2s.jobs SET (security_barrier = %s)', NEW.producers_apart);
    RETURN NULL;
END $$;
CREATE FUNCTION l2s.set_paused(job_type text, paused boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF job_type IS NULL THEN
        UPDATE l2s.setting s SET paused = set_paused.paused;
    ELSE
        UPDATE l2s.job_type t SET paused = set_paused.paused, paused_because = NULL
        WHERE t.name = set_paused.job_type;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'unknown job type %', quote_literal(job_type) USING
                ERRCODE = 'undefined_object',
                DETAIL = 'Known job types: ' || coalesce(
                    (SELECT string_agg(t.name, ', ' ORDER BY t.name) FROM l2s.job_type t),
                    'none yet') || '.';
        END IF;
    END IF;
    IF NOT paused THEN
        PERFORM l2s.wake();
    END IF;
END $$;
CREATE FUNCTION l2s.settle_groups() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE l2s.chore c SET at = '-infinity' WHERE c.name = 'groups';
    RETURN l2s.finish_groups();
END $$;
CREATE FUNCTION l2s.sync_job_types(definitions json) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    wrong text := (
        SELECT d.name FROM json_to_recordset(definitions) AS d(name text)
        WHERE d.name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' LIMIT 1);
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'expected a job type''s name to be letters, digits, ".", "_" and "-", got %',
            quote_literal(left(wrong, 100)) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT f.name INTO wrong FROM json_to_recordset(definitions) AS d(prompt_fields text[])
    CROSS JOIN unnest(d.prompt_fields) AS f(name)
    WHERE f.name !~ '^[A-Za-z_][A-Za-z0-9_-]{0,62}$' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'expected a field''s name to be letters, digits, "_" and "-", got %',
            quote_literal(left(wrong, 100)) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO l2s.encoder (name)
    SELECT DISTINCT d.encoder FROM json_to_recordset(definitions) AS d(encoder text)
    WHERE NOT EXISTS (SELECT FROM l2s.encoder r WHERE r.name = d.encoder) ORDER BY 1
    ON CONFLICT DO NOTHING;
    INSERT INTO l2s.job_type (
        name, encoder, mode, llm, slm, document_bytes, maximum_attempts, backoff, maximum_backoff,
        concurrent_documents, prompt_fields)
    SELECT
        d.name, r.id, d.mode, d.llm, d.slm, d.document_bytes, d.maximum_attempts,
        make_interval(secs => d.backoff), make_interval(secs => d.maximum_backoff),
        d.concurrent_documents, coalesce(d.prompt_fields, '{}')
    FROM json_to_recordset(definitions) AS d(
        name text, encoder text, mode text, llm text, slm text, document_bytes integer,
        maximum_attempts integer, backoff double precision, maximum_backoff double precision,
        concurrent_documents integer, prompt_fields text[])
    JOIN l2s.encoder r ON r.name = d.encoder
    ORDER BY d.name
    ON CONFLICT (name) DO UPDATE SET
        encoder = excluded.encoder, mode = excluded.mode, llm = excluded.llm, slm = excluded.slm,
        document_bytes = excluded.document_bytes, maximum_attempts = excluded.maximum_attempts,
        backoff = excluded.backoff, maximum_backoff = excluded.maximum_backoff,
        concurrent_documents = excluded.concurrent_documents,
        prompt_fields = excluded.prompt_fields;
    PERFORM l2s.wake();
END $_$;
CREATE FUNCTION l2s.tally_results() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    since bigint;
    ends  bigint := l2s.mark(pg_snapshot_xmin(pg_current_snapshot()));
BEGIN
    SELECT t.until INTO since FROM l2s.tallied t FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    ends := coalesce(
        (SELECT r.written_in FROM l2s.result r
         WHERE r.written_in > since AND r.written_in < ends
         ORDER BY r.written_in, r.document_id OFFSET 1000000 LIMIT 1),
        ends);
    WITH gone AS (
        DELETE FROM l2s.tally t
        RETURNING t.part, t.job_type, t.succeeded, t.failed, t.cancelled)
    INSERT INTO l2s.tally (part, job_type, succeeded, failed, cancelled)
    SELECT t.part, t.job_type, sum(t.succeeded), sum(t.failed), sum(t.cancelled)
    FROM (
        SELECT * FROM gone
        UNION ALL
        SELECT * FROM l2s.count_results(since, ends)) AS t
    GROUP BY t.part, t.job_type;
    UPDATE l2s.tallied t SET until = ends;
END $$;
CREATE FUNCTION l2s.tell_load(worker_id bigint, load jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
CREATE SEQUENCE l2s.document_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE l2s.document (
    id bigint DEFAULT nextval('l2s.document_id'::regclass) NOT NULL,
    job_type integer NOT NULL,
    priority smallint NOT NULL,
    run_at timestamp with time zone NOT NULL,
    enqueued_at timestamp with time zone NOT NULL,
    group_id bigint,
    body text,
    dedupe_key text,
    tenant text,
    producer text,
    metadata jsonb,
    siblings bigint[]
)
PARTITION BY RANGE (id);
ALTER TABLE ONLY l2s.document ALTER COLUMN body SET COMPRESSION lz4;
COMMENT ON TABLE l2s.document IS 'Every document that is kept; never updated.';
COMMENT ON COLUMN l2s.document.body IS 'Null if the first of its siblings holds the text; see l2s.text_of.';
COMMENT ON COLUMN l2s.document.producer IS 'The database role that enqueued it.';
COMMENT ON COLUMN l2s.document.siblings IS 'The jobs that one call of l2s.enqueue made for one text, this one included, in order. Null if it made
only one. All of them are in the same partition.';
CREATE FUNCTION l2s.text_of(document l2s.document) RETURNS text
    LANGUAGE sql STABLE
    RETURN COALESCE((document).body, (SELECT d.body FROM l2s.document d WHERE (d.id = (text_of.document).siblings[1])));
CREATE FUNCTION l2s.texts_of(metadata jsonb, names text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    name  text;
    texts text[] := '{}';
BEGIN
    FOREACH name IN ARRAY names LOOP
        texts := texts || CASE
            WHEN jsonb_typeof(metadata -> name) = 'string' THEN metadata ->> name END;
    END LOOP;
    RETURN texts;
END $$;
CREATE FUNCTION l2s.unfinished_in(part l2s.part) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN (
        SELECT count(*) FROM (
            SELECT FROM l2s.queue q
            WHERE q.document_id >= part.first_id AND q.document_id < part.after_id LIMIT 1000) AS unfinished);
END $$;
CREATE FUNCTION l2s.wake() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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
CREATE TABLE l2s.attempt_error (
    document_id bigint NOT NULL,
    attempt integer NOT NULL,
    lease_id bigint NOT NULL,
    worker_id bigint NOT NULL,
    kind text NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    failed_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    mode text,
    model text,
    tokens_in integer,
    tokens_out integer,
    batch_size integer,
    queue_ms real,
    tokenize_ms real,
    batch_wait_ms real,
    encode_ms real,
    handoff_ms real,
    decode_ms real,
    writeback_ms real,
    CONSTRAINT attempt_error_kind_check CHECK ((kind = ANY (ARRAY['failed'::text, 'rejected'::text, 'crashed'::text])))
)
PARTITION BY RANGE (document_id);
COMMENT ON TABLE l2s.attempt_error IS 'Every attempt that failed, also if a later one succeeded.';
CREATE TABLE l2s.attempt_error_0 (
    document_id bigint NOT NULL,
    attempt integer NOT NULL,
    lease_id bigint NOT NULL,
    worker_id bigint NOT NULL,
    kind text NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    failed_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    mode text,
    model text,
    tokens_in integer,
    tokens_out integer,
    batch_size integer,
    queue_ms real,
    tokenize_ms real,
    batch_wait_ms real,
    encode_ms real,
    handoff_ms real,
    decode_ms real,
    writeback_ms real,
    CONSTRAINT attempt_error_kind_check CHECK ((kind = ANY (ARRAY['failed'::text, 'rejected'::text, 'crashed'::text])))
);
CREATE TABLE l2s.result (
    document_id bigint NOT NULL,
    job_type integer NOT NULL,
    group_id bigint,
    written_in bigint DEFAULT 0 NOT NULL,
    lease_id bigint,
    worker_id bigint,
    succeeded boolean NOT NULL,
    cancelled boolean DEFAULT false NOT NULL,
    attempt integer NOT NULL,
    claimed_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    output text,
    error text,
    mode text,
    model text,
    tokens_in integer,
    tokens_out integer,
    batch_size integer,
    shared boolean,
    parts integer,
    truncated boolean,
    cut_off integer,
    agreement real,
    queue_ms real,
    tokenize_ms real,
    batch_wait_ms real,
    encode_ms real,
    handoff_ms real,
    decode_ms real,
    writeback_ms real,
    CONSTRAINT result_check CHECK ((succeeded = (output IS NOT NULL))),
    CONSTRAINT result_check1 CHECK ((succeeded = (error IS NULL)))
)
PARTITION BY RANGE (document_id);
ALTER TABLE ONLY l2s.result ALTER COLUMN output SET COMPRESSION lz4;
COMMENT ON TABLE l2s.result IS 'The outcome of each finished document. Written once; only agreement is updated later.';
COMMENT ON COLUMN l2s.result.written_in IS 'Gives l2s.completed its order: the number of the transaction that wrote the row, in its epoch (see
l2s.cluster).';
COMMENT ON COLUMN l2s.result.cancelled IS 'Whether the document was cancelled. succeeded is false then.';
COMMENT ON COLUMN l2s.result.batch_size IS 'Prompts in the encoder''s batch. 0 if its time counts for another document or no encoder ran.';
COMMENT ON COLUMN l2s.result.shared IS 'If true, another document with the same prompt was read at that time. The encoder''s time counts for
that one.';
COMMENT ON COLUMN l2s.result.agreement IS 'ROUGE-L, 0 to 1, between the output and the large model''s own. Null if the large model wrote none.';
COMMENT ON COLUMN l2s.result.encode_ms IS 'The time of the whole encoder batch, the same for each of its documents. Divide by batch_size before
summing.';
CREATE TABLE l2s.worker (
    id bigint NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    idle boolean DEFAULT false NOT NULL,
    draining boolean DEFAULT false NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    stopped_at timestamp with time zone,
    load jsonb
)
WITH (fillfactor='40');
COMMENT ON TABLE l2s.worker IS 'One row for each worker process that ever started.';
COMMENT ON COLUMN l2s.worker.idle IS 'Waiting for work: l2s.enqueue notifies only while somebody is.';
COMMENT ON COLUMN l2s.worker.load IS 'lanes; lanes_busy: the share of their time in which they computed since the previous heartbeat;
documents: how many the worker holds; prepared: documents, or their parts, that wait for the encoder;
handoff and handoff_capacity: parts that wait for a decoder, and for how many there is room; decoding:
rows in decoders; batch_fill: prompts per pass of the encoder since the previous heartbeat.';
CREATE VIEW l2s.attempts AS
 SELECT e.document_id AS id,
    e.attempt,
    e.kind AS outcome,
    ((w.host || ':'::text) || w.pid) AS worker,
    e.lease_id AS batch,
    e.claimed_at,
    e.failed_at AS ended_at,
    e.reason AS error,
    e.tokens_in,
    e.tokens_out,
    e.batch_size,
    e.queue_ms,
    e.tokenize_ms,
    e.batch_wait_ms,
    e.encode_ms,
    e.handoff_ms,
    e.decode_ms,
    e.writeback_ms,
    e.mode,
    e.model
   FROM (l2s.attempt_error e
     LEFT JOIN l2s.worker w ON ((w.id = e.worker_id)))
UNION ALL
 SELECT r.document_id AS id,
    r.attempt,
        CASE
            WHEN r.cancelled THEN 'cancelled'::text
            ELSE 'succeeded'::text
        END AS outcome,
    ((w.host || ':'::text) || w.pid) AS worker,
    r.lease_id AS batch,
    r.claimed_at,
    r.finished_at AS ended_at,
    r.error,
    r.tokens_in,
    r.tokens_out,
    r.batch_size,
    r.queue_ms,
    r.tokenize_ms,
    r.batch_wait_ms,
    r.encode_ms,
    r.handoff_ms,
    r.decode_ms,
    r.writeback_ms,
    r.mode,
    r.model
   FROM (l2s.result r
     LEFT JOIN l2s.worker w ON ((w.id = r.worker_id)))
  WHERE (r.succeeded OR r.cancelled);
COMMENT ON VIEW l2s.attempts IS 'Every attempt that ended: succeeded, failed, rejected (no attempt could succeed), crashed (its worker was
not heard of again) or cancelled, with the time of each stage. l2s.jobs explains the columns.';
CREATE TABLE l2s.batch (
    lease_id bigint NOT NULL,
    worker_id bigint NOT NULL,
    encoder integer NOT NULL,
    length_class smallint NOT NULL,
    documents integer NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone NOT NULL,
    outcome text NOT NULL,
    succeeded integer NOT NULL,
    retried integer NOT NULL,
    failed integer NOT NULL,
    cancelled integer NOT NULL,
    tokens_in bigint NOT NULL,
    tokens_out bigint NOT NULL,
    tokenize_ms real NOT NULL,
    encode_ms real NOT NULL,
    handoff_ms real NOT NULL,
    decode_ms real NOT NULL,
    CONSTRAINT batch_outcome_check CHECK ((outcome = ANY (ARRAY['finished'::text, 'released'::text, 'expired'::text])))
);
COMMENT ON TABLE l2s.batch IS 'Closed leases.';
COMMENT ON COLUMN l2s.batch.succeeded IS 'succeeded, retried, failed and cancelled count the documents that were written. The others were given
back or taken back.';
COMMENT ON COLUMN l2s.batch.tokenize_ms IS 'Sum over its documents.';
COMMENT ON COLUMN l2s.batch.encode_ms IS 'The time of the encoder''s passes, divided among their documents, so that sums count each pass once.';
COMMENT ON COLUMN l2s.batch.handoff_ms IS 'The time of the document that waited longest for a decoder.';
COMMENT ON COLUMN l2s.batch.decode_ms IS 'The time of the document whose output took longest to write.';
CREATE TABLE l2s.encoder (
    id integer NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C"
);
COMMENT ON TABLE l2s.encoder IS 'Models that read documents. Job types of one encoder share batches.';
CREATE VIEW l2s.batches AS
 SELECT b.lease_id AS batch,
    ((w.host || ':'::text) || w.pid) AS worker,
    m.name AS model,
    b.length_class,
    b.outcome,
    b.claimed_at,
    b.closed_at,
    b.documents,
    b.succeeded,
    b.retried,
    b.failed,
    b.cancelled,
    b.tokens_in,
    b.tokens_out,
    (EXTRACT(epoch FROM (b.closed_at - b.claimed_at)) * (1000)::numeric) AS total_ms,
    b.tokenize_ms,
    b.encode_ms,
    b.handoff_ms,
    b.decode_ms
   FROM ((l2s.batch b
     LEFT JOIN l2s.worker w ON ((w.id = b.worker_id)))
     LEFT JOIN l2s.encoder m ON ((m.id = b.encoder)));
COMMENT ON VIEW l2s.batches IS 'Every batch that was claimed and is closed: the outcome of its documents and the times of its stages.
l2s.batch explains the columns.';
CREATE TABLE l2s.chore (
    name text NOT NULL COLLATE pg_catalog."C",
    at timestamp with time zone NOT NULL
);
COMMENT ON TABLE l2s.chore IS 'Chores that one worker does for all, and when each was last done.';
CREATE TABLE l2s.cluster (
    only_row boolean DEFAULT true NOT NULL,
    identity text NOT NULL,
    epoch integer DEFAULT 0 NOT NULL,
    CONSTRAINT cluster_epoch_check CHECK (((epoch >= 0) AND (epoch <= 1000000))),
    CONSTRAINT cluster_only_row_check CHECK (only_row)
);
COMMENT ON TABLE l2s.cluster IS 'The server, and the history of its log, in which results were last written. See l2s.adopt_cluster.';
CREATE TABLE l2s.contact (
    only_row boolean DEFAULT true NOT NULL,
    heard_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT contact_only_row_check CHECK (only_row)
)
WITH (fillfactor='40');
COMMENT ON TABLE l2s.contact IS 'When workers reached the server, in one row.';
COMMENT ON COLUMN l2s.contact.heard_at IS 'The last time that a worker reached the server. Written about once a second.';
CREATE TABLE l2s.counted (
    only_row boolean DEFAULT true NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT counted_only_row_check CHECK (only_row)
);
COMMENT ON TABLE l2s.counted IS 'Up to this time, results are counted in l2s.minute.';
CREATE TABLE l2s.dedupe (
    job_type integer NOT NULL,
    producer text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    document_id bigint NOT NULL
);
COMMENT ON TABLE l2s.dedupe IS 'Deduplication keys. They have a table of their own, because a unique key cannot span partitions.';
COMMENT ON COLUMN l2s.dedupe.producer IS 'The role that owns the key if setting.producers_apart was true. Empty if the key holds for all roles.';
CREATE TABLE l2s.document_0 (
    id bigint DEFAULT nextval('l2s.document_id'::regclass) NOT NULL,
    job_type integer NOT NULL,
    priority smallint NOT NULL,
    run_at timestamp with time zone NOT NULL,
    enqueued_at timestamp with time zone NOT NULL,
    group_id bigint,
    body text,
    dedupe_key text,
    tenant text,
    producer text,
    metadata jsonb,
    siblings bigint[]
);
ALTER TABLE ONLY l2s.document_0 ALTER COLUMN body SET COMPRESSION lz4;
COMMENT ON COLUMN l2s.document_0.body IS 'Null where the first of its siblings holds the text: see l2s.text_of.';
COMMENT ON COLUMN l2s.document_0.producer IS 'The database role that enqueued it.';
COMMENT ON COLUMN l2s.document_0.siblings IS 'The jobs that one call of l2s.enqueue made of one text, itself included, in order; null where it made
one. All of them are in the same partition.';
ALTER TABLE l2s.encoder ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME l2s.encoder_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE UNLOGGED TABLE l2s.floor (
    job_type integer NOT NULL,
    rank smallint NOT NULL,
    turn bigint NOT NULL,
    moved_at timestamp with time zone NOT NULL,
    look_at timestamp with time zone NOT NULL
)
WITH (fillfactor='40');
COMMENT ON TABLE l2s.floor IS 'The place from which claims of a job type look for ready documents until look_at. Empty while there are
few dead rows.';
CREATE TABLE l2s.group_run (
    id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    producer text NOT NULL COLLATE pg_catalog."C",
    opened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone
);
COMMENT ON TABLE l2s.group_run IS 'The groups of documents. A group is all rows of its name (and of its producer, if setting.producers_apart
is true): it gets a further row when documents are added after it was finished, and when two transactions
begin it at the same time.';
COMMENT ON COLUMN l2s.group_run.producer IS 'The database role that opened it.';
ALTER TABLE l2s.group_run ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME l2s.group_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE l2s.queue (
    document_id bigint NOT NULL,
    lease_id bigint,
    run_at timestamp with time zone NOT NULL,
    turn bigint DEFAULT 0 NOT NULL,
    group_id bigint,
    job_type integer NOT NULL,
    tokens integer NOT NULL,
    tenant integer DEFAULT 0 NOT NULL,
    claims integer DEFAULT 0 NOT NULL,
    earlier integer DEFAULT 0 NOT NULL,
    errors smallint DEFAULT 0 NOT NULL,
    crashes smallint DEFAULT 0 NOT NULL,
    rank smallint NOT NULL,
    length_class smallint NOT NULL,
    state smallint NOT NULL,
    cancelled boolean DEFAULT false NOT NULL,
    notify boolean DEFAULT false NOT NULL,
    limited boolean DEFAULT false NOT NULL,
    siblings bigint[],
    CONSTRAINT queue_check CHECK (((state = 1) = (lease_id IS NOT NULL))),
    CONSTRAINT queue_state_check CHECK (((state >= 0) AND (state <= 2)))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE l2s.queue IS 'The documents that are not finished.';
COMMENT ON COLUMN l2s.queue.run_at IS 'The time since when the document is ready, or from which a delayed one will be.';
COMMENT ON COLUMN l2s.queue.turn IS 'See l2s.turn.';
COMMENT ON COLUMN l2s.queue.tokens IS 'Estimate: bytes / 4.';
COMMENT ON COLUMN l2s.queue.tenant IS 'Hash of the tenant''s name. Tenants with the same hash share their turns.';
COMMENT ON COLUMN l2s.queue.claims IS 'How often a worker took it, releases included.';
COMMENT ON COLUMN l2s.queue.earlier IS 'Attempts before the last l2s.retry.';
COMMENT ON COLUMN l2s.queue.errors IS 'Attempts that a worker reported as failed.';
COMMENT ON COLUMN l2s.queue.crashes IS 'Attempts whose worker went silent.';
COMMENT ON COLUMN l2s.queue.rank IS 'Minus the priority, so that one ascending index gives the order.';
COMMENT ON COLUMN l2s.queue.length_class IS 'See l2s.length_class.';
COMMENT ON COLUMN l2s.queue.state IS '0 ready, 1 leased, 2 delayed';
COMMENT ON COLUMN l2s.queue.cancelled IS 'The document will end as cancelled. Its worker learns of it with a heartbeat.';
COMMENT ON COLUMN l2s.queue.notify IS 'Somebody listens for the end of this document.';
COMMENT ON COLUMN l2s.queue.limited IS 'Leased under job_type.concurrent_documents.';
COMMENT ON COLUMN l2s.queue.siblings IS 'As in l2s.document, finished jobs included. Siblings are claimed together where that is possible.';
CREATE VIEW l2s.groups AS
 SELECT g.name,
    (((((q.waiting + q.delayed) + q.running) + r.succeeded) + r.failed) + r.cancelled) AS documents,
    q.waiting,
    q.delayed,
    q.running,
    r.succeeded,
    r.failed,
    r.cancelled,
    g.opened_at,
    g.finished_at
   FROM ((( SELECT run.name,
            array_agg(run.id) AS ids,
            min(run.opened_at) AS opened_at,
                CASE
                    WHEN bool_and((run.finished_at IS NOT NULL)) THEN max(run.finished_at)
                    ELSE NULL::timestamp with time zone
                END AS finished_at
           FROM l2s.group_run run
          WHERE (( SELECT l2s.sees_all() AS sees_all) OR (run.producer = ( SELECT l2s.caller() AS caller)))
          GROUP BY run.name) g
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (queue.state = 0)) AS waiting,
            count(*) FILTER (WHERE (queue.state = 1)) AS running,
            count(*) FILTER (WHERE (queue.state = 2)) AS delayed
           FROM l2s.queue
          WHERE (queue.group_id = ANY (g.ids))) q)
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE result.succeeded) AS succeeded,
            count(*) FILTER (WHERE ((NOT result.succeeded) AND (NOT result.cancelled))) AS failed,
            count(*) FILTER (WHERE result.cancelled) AS cancelled
           FROM l2s.result
          WHERE (result.group_id = ANY (g.ids))) r);
COMMENT ON VIEW l2s.groups IS 'The progress of each group. Ask for one by name, because counting all groups takes time.';
COMMENT ON COLUMN l2s.groups.finished_at IS 'When its last document was found finished; null again when more are enqueued.';
ALTER TABLE l2s.job_type ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME l2s.job_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW l2s.jobs WITH (security_barrier='false') AS
 SELECT d.id,
    t.name AS job_type,
        CASE
            WHEN r.succeeded THEN 'succeeded'::text
            WHEN r.cancelled THEN 'cancelled'::text
            WHEN (r.document_id IS NOT NULL) THEN 'failed'::text
            WHEN (q.state = 0) THEN 'waiting'::text
            WHEN ((q.state = 1) AND q.cancelled) THEN 'cancelling'::text
            WHEN (q.state = 1) THEN 'running'::text
            WHEN (q.state = 2) THEN 'delayed'::text
            ELSE NULL::text
        END AS state,
    COALESCE(r.attempt, (((q.earlier + q.errors) + q.crashes) + ((q.state = 1))::integer)) AS attempt,
    d.priority,
    COALESCE(q.run_at, d.run_at) AS run_at,
    d.enqueued_at,
    COALESCE(r.claimed_at, l.claimed_at) AS claimed_at,
    r.finished_at,
    ((w.host || ':'::text) || w.pid) AS worker,
    r.output,
    COALESCE(r.error, last_error.reason) AS error,
    r.tokens_in,
    r.tokens_out,
    r.batch_size,
    r.queue_ms,
    r.tokenize_ms,
    r.batch_wait_ms,
    r.encode_ms,
    r.handoff_ms,
    r.decode_ms,
    r.writeback_ms,
    r.mode,
    r.model,
    r.truncated,
    r.cut_off,
    r.parts,
    d.metadata,
    g.name AS "group",
    d.tenant,
    r.agreement,
        CASE
            WHEN (r.batch_size > 0) THEN 'batch'::text
            WHEN r.shared THEN 'shared'::text
            WHEN ((r.tokens_out IS NOT NULL) AND r.succeeded) THEN 'cache'::text
            ELSE NULL::text
        END AS encode_source,
    d.siblings
   FROM (((((((l2s.document d
     JOIN l2s.job_type t ON ((t.id = d.job_type)))
     LEFT JOIN l2s.queue q ON ((q.document_id = d.id)))
     LEFT JOIN l2s.lease l ON ((l.id = q.lease_id)))
     LEFT JOIN l2s.result r ON ((r.document_id = d.id)))
     LEFT JOIN l2s.worker w ON ((w.id = COALESCE(r.worker_id, l.worker_id))))
     LEFT JOIN l2s.group_run g ON ((g.id = d.group_id)))
     LEFT JOIN LATERAL ( SELECT e.reason
           FROM l2s.attempt_error e
          WHERE ((e.document_id = d.id) AND (r.document_id IS NULL))
          ORDER BY e.attempt DESC
         LIMIT 1) last_error ON (true))
  WHERE (( SELECT l2s.sees_all() AS sees_all) OR (d.producer = ( SELECT l2s.caller() AS caller)));
COMMENT ON VIEW l2s.jobs IS 'Every job: its data, its state, its output, and how long each stage took.';
COMMENT ON COLUMN l2s.jobs.state IS 'waiting, delayed (until run_at), running, cancelling, succeeded, failed (for good: see error) or cancelled';
COMMENT ON COLUMN l2s.jobs.attempt IS 'Attempts begun; releases by a stopping worker do not count.';
COMMENT ON COLUMN l2s.jobs.priority IS 'Jobs with a greater priority are claimed first.';
COMMENT ON COLUMN l2s.jobs.run_at IS 'The job is not claimed before this time. After a failed attempt, the time of the next one.';
COMMENT ON COLUMN l2s.jobs.worker IS 'host:pid of the worker that runs or finished it';
COMMENT ON COLUMN l2s.jobs.error IS 'Why the job failed. For an unfinished job, why its last attempt failed.';
COMMENT ON COLUMN l2s.jobs.queue_ms IS 'From when the job was ready (enqueued, run_at or the time of a retry) until it was claimed. The later
stages sum to the time from claimed_at to finished_at.';
COMMENT ON COLUMN l2s.jobs.batch_wait_ms IS 'Time in the worker, before and after tokenizing, until the encoder took the document up.';
COMMENT ON COLUMN l2s.jobs.encode_ms IS 'The time of the whole encoder batch, the same for each of its documents. Divide by batch_size before
summing.';
COMMENT ON COLUMN l2s.jobs.handoff_ms IS 'From the end of encoding until a decoder took the document up.';
COMMENT ON COLUMN l2s.jobs.writeback_ms IS 'The rest of the time from claimed_at to finished_at: transfers, the wait for the write, and the write.';
COMMENT ON COLUMN l2s.jobs.truncated IS 'If true, the source was longer than the job type''s limit, so its tail was cut off.';
COMMENT ON COLUMN l2s.jobs.cut_off IS 'Parts whose output was cut off at limits.new_tokens, mostly in the middle of a sentence.';
COMMENT ON COLUMN l2s.jobs.parts IS 'Parts that a source over the limit was split into; 1 for all others.';
COMMENT ON COLUMN l2s.jobs.agreement IS 'ROUGE-L, 0 to 1, between the output and the large model''s own. Null if the large model wrote none.';
COMMENT ON COLUMN l2s.jobs.encode_source IS 'Where the states came from: batch (the encoder ran, and its time counts for this job), shared (another
document with the same prompt was read at that time, and the time counts for that one) or cache (the
prompt had been read before).';
COMMENT ON COLUMN l2s.jobs.siblings IS 'The jobs that were enqueued together for the same text, this one included. Null if there is no other.';
CREATE TABLE l2s.migration (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
COMMENT ON TABLE l2s.migration IS 'The steps that made this schema.';
CREATE TABLE l2s.permission (
    role text NOT NULL,
    function text NOT NULL
);
COMMENT ON TABLE l2s.permission IS 'Which functions l2s.grant_roles lets each role call.';
CREATE TABLE l2s.result_0 (
    document_id bigint NOT NULL,
    job_type integer NOT NULL,
    group_id bigint,
    written_in bigint DEFAULT 0 NOT NULL,
    lease_id bigint,
    worker_id bigint,
    succeeded boolean NOT NULL,
    cancelled boolean DEFAULT false NOT NULL,
    attempt integer NOT NULL,
    claimed_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    output text,
    error text,
    mode text,
    model text,
    tokens_in integer,
    tokens_out integer,
    batch_size integer,
    shared boolean,
    parts integer,
    truncated boolean,
    cut_off integer,
    agreement real,
    queue_ms real,
    tokenize_ms real,
    batch_wait_ms real,
    encode_ms real,
    handoff_ms real,
    decode_ms real,
    writeback_ms real,
    CONSTRAINT result_check CHECK ((succeeded = (output IS NOT NULL))),
    CONSTRAINT result_check1 CHECK ((succeeded = (error IS NULL)))
);
ALTER TABLE ONLY l2s.result_0 ALTER COLUMN output SET COMPRESSION lz4;
COMMENT ON COLUMN l2s.result_0.written_in IS 'The order of l2s.completed: the transaction that wrote it, in the epoch of l2s.cluster.';
COMMENT ON COLUMN l2s.result_0.cancelled IS 'Then it did not succeed either.';
COMMENT ON COLUMN l2s.result_0.batch_size IS 'Prompts in the encoder''s batch; 0 where its time counts for another document, or none ran.';
COMMENT ON COLUMN l2s.result_0.shared IS 'Another document with the same prompt was read at that time: the reading counts for that one.';
COMMENT ON COLUMN l2s.result_0.agreement IS 'ROUGE-L between the output and the large model''s own, 0 to 1; null where it wrote none.';
COMMENT ON COLUMN l2s.result_0.encode_ms IS 'Of the whole encoder batch, the same for each of its documents: divide by batch_size before summing.';
CREATE TABLE l2s.salt (
    only_row boolean DEFAULT true NOT NULL,
    salt bigint DEFAULT hashtextextended((gen_random_uuid())::text, (0)::bigint) NOT NULL,
    CONSTRAINT salt_only_row_check CHECK (only_row)
);
COMMENT ON TABLE l2s.salt IS 'A secret number that keeps others from guessing the advisory locks of siblings.';
CREATE TABLE l2s.setting (
    only_row boolean DEFAULT true NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    producers_apart boolean DEFAULT false NOT NULL,
    notifies boolean DEFAULT true NOT NULL,
    keep interval DEFAULT '90 days'::interval,
    part_every interval DEFAULT '7 days'::interval NOT NULL,
    CONSTRAINT keep_is_sensible CHECK (((keep >= '01:00:00'::interval) AND (keep <= '1000 years'::interval))),
    CONSTRAINT part_every_is_sensible CHECK (((part_every >= '00:01:00'::interval) AND (part_every <= '1000 years'::interval))),
    CONSTRAINT setting_only_row_check CHECK (only_row)
);
COMMENT ON TABLE l2s.setting IS 'The settings of the whole queue, in one row.';
COMMENT ON COLUMN l2s.setting.paused IS 'See l2s.pause.';
COMMENT ON COLUMN l2s.setting.producers_apart IS 'If true, a role that is neither l2s_reader nor l2s_admin sees only its own documents, results and groups,
and each role that enqueues has its own dedupe keys and groups, even of the same name. Times are not
hidden: a document finishes sooner if its text was read lately for somebody else.';
COMMENT ON COLUMN l2s.setting.notifies IS 'If false, l2s.enqueue sends no notifications, so that transactions that enqueue can be prepared for
two-phase commit. Idle workers then find documents by polling.';
COMMENT ON COLUMN l2s.setting.keep IS 'How long documents are kept, with all their data, after they are finished. Null keeps them for ever.';
COMMENT ON COLUMN l2s.setting.part_every IS 'How often a new partition is begun. Old documents are dropped one partition at a time.';
CREATE TABLE l2s.shadow_minute (
    minute timestamp with time zone NOT NULL,
    job_type integer NOT NULL,
    documents bigint NOT NULL,
    agreement double precision NOT NULL
);
COMMENT ON TABLE l2s.shadow_minute IS 'Documents that the large model wrote too, by minute, and the sum of their agreements.';
CREATE TABLE l2s.silence (
    length interval NOT NULL,
    ended_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE l2s.silence IS 'Times in which no worker reached the server, except those that a longer and later one covers.';
CREATE TABLE l2s.tallied (
    only_row boolean DEFAULT true NOT NULL,
    until bigint NOT NULL,
    CONSTRAINT tallied_only_row_check CHECK (only_row)
);
COMMENT ON TABLE l2s.tallied IS 'Results that were written before this are in l2s.tally.';
CREATE TABLE l2s.tally (
    id bigint NOT NULL,
    part integer NOT NULL,
    job_type integer NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL
);
COMMENT ON TABLE l2s.tally IS 'Counts of results that l2s.count_finished need not count again. Sum up the rows.';
ALTER TABLE l2s.tally ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME l2s.tally_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW l2s.throughput AS
 SELECT m.minute,
    t.name AS job_type,
    m.documents,
    m.failures,
    m.tokens_in,
    m.tokens_out,
    ((m.documents)::double precision / m.seconds) AS documents_per_s,
    (((m.tokens_in + m.tokens_out))::double precision / m.seconds) AS tokens_per_s,
    m.queue_ms[1] AS queue_p50_ms,
    m.queue_ms[2] AS queue_p95_ms,
    m.queue_ms[3] AS queue_p99_ms,
    m.encode_ms[1] AS encode_p50_ms,
    m.encode_ms[2] AS encode_p95_ms,
    m.encode_ms[3] AS encode_p99_ms,
    m.decode_ms[1] AS decode_p50_ms,
    m.decode_ms[2] AS decode_p95_ms,
    m.decode_ms[3] AS decode_p99_ms,
    m.total_ms[1] AS total_p50_ms,
    m.total_ms[2] AS total_p95_ms,
    m.total_ms[3] AS total_p99_ms,
    s.documents AS shadowed,
    (s.agreement / (s.documents)::double precision) AS agreement
   FROM ((( SELECT minute.minute,
            minute.job_type,
            minute.documents,
            minute.failures,
            minute.tokens_in,
            minute.tokens_out,
            minute.seconds,
            minute.queue_ms,
            minute.encode_ms,
            minute.decode_ms,
            minute.total_ms
           FROM l2s.minute
        UNION ALL
         SELECT count_minutes.minute,
            count_minutes.job_type,
            count_minutes.documents,
            count_minutes.failures,
            count_minutes.tokens_in,
            count_minutes.tokens_out,
            count_minutes.seconds,
            count_minutes.queue_ms,
            count_minutes.encode_ms,
            count_minutes.decode_ms,
            count_minutes.total_ms
           FROM l2s.count_minutes(( SELECT c.until
                   FROM l2s.counted c), 'infinity'::timestamp with time zone) count_minutes(minute, job_type, documents, failures, tokens_in, tokens_out, seconds, queue_ms, encode_ms, decode_ms, total_ms)) m
     JOIN l2s.job_type t ON ((t.id = m.job_type)))
     LEFT JOIN l2s.shadow_minute s ON (((s.minute = m.minute) AND (s.job_type = m.job_type))))
  ORDER BY m.minute, t.name;
COMMENT ON VIEW l2s.throughput IS 'Finished documents per minute and job type. Failed ones count, cancelled ones do not. Rates are over the
part of the minute in which documents were in progress. total is the time from ready to finished. Rows
stay when their documents are dropped.';
COMMENT ON COLUMN l2s.throughput.tokens_per_s IS 'Read and written tokens together.';
COMMENT ON COLUMN l2s.throughput.shadowed IS 'For how many of the documents the large model wrote an output, too.';
COMMENT ON COLUMN l2s.throughput.agreement IS 'The mean agreement of these documents: ROUGE-L between both outputs, 0 to 1. It falls when documents
differ from those on which the small model was trained.';
CREATE TABLE l2s.turn (
    job_type integer NOT NULL,
    rank smallint NOT NULL,
    turn bigint NOT NULL,
    at timestamp with time zone NOT NULL
)
WITH (fillfactor='40');
COMMENT ON TABLE l2s.turn IS 'How far the queue is, for each job type and rank: the turn of the document that was claimed last.
Written about once a second.';
ALTER TABLE l2s.worker ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME l2s.worker_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY l2s.attempt_error ATTACH PARTITION l2s.attempt_error_0 FOR VALUES FROM ('0') TO ('100000000');
ALTER TABLE ONLY l2s.document ATTACH PARTITION l2s.document_0 FOR VALUES FROM ('0') TO ('100000000');
ALTER TABLE ONLY l2s.result ATTACH PARTITION l2s.result_0 FOR VALUES FROM ('0') TO ('100000000');
ALTER TABLE ONLY l2s.attempt_error
    ADD CONSTRAINT attempt_error_pkey PRIMARY KEY (document_id, attempt);
ALTER TABLE ONLY l2s.attempt_error_0
    ADD CONSTRAINT attempt_error_0_pkey PRIMARY KEY (document_id, attempt);
ALTER TABLE ONLY l2s.batch
    ADD CONSTRAINT batch_pkey PRIMARY KEY (lease_id);
ALTER TABLE ONLY l2s.chore
    ADD CONSTRAINT chore_pkey PRIMARY KEY (name);
ALTER TABLE ONLY l2s.cluster
    ADD CONSTRAINT cluster_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY l2s.contact
    ADD CONSTRAINT contact_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY l2s.counted
    ADD CONSTRAINT counted_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY l2s.dedupe
    ADD CONSTRAINT dedupe_pkey PRIMARY KEY (job_type, key, producer);
ALTER TABLE ONLY l2s.document
    ADD CONSTRAINT document_pkey PRIMARY KEY (id);
ALTER TABLE ONLY l2s.document_0
    ADD CONSTRAINT document_0_pkey PRIMARY KEY (id);
ALTER TABLE ONLY l2s.encoder
    ADD CONSTRAINT encoder_name_key UNIQUE (name);
ALTER TABLE ONLY l2s.encoder
    ADD CONSTRAINT encoder_pkey PRIMARY KEY (id);
ALTER TABLE ONLY l2s.floor
    ADD CONSTRAINT floor_pkey PRIMARY KEY (job_type);
ALTER TABLE ONLY l2s.group_run
    ADD CONSTRAINT group_run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY l2s.job_type
    ADD CONSTRAINT job_type_name_key UNIQUE (name);
ALTER TABLE ONLY l2s.job_type
    ADD CONSTRAINT job_type_pkey PRIMARY KEY (id);
ALTER TABLE ONLY l2s.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (id);
ALTER TABLE ONLY l2s.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);
ALTER TABLE ONLY l2s.minute
    ADD CONSTRAINT minute_pkey PRIMARY KEY (minute, job_type);
ALTER TABLE ONLY l2s.part
    ADD CONSTRAINT part_pkey PRIMARY KEY (number);
ALTER TABLE ONLY l2s.permission
    ADD CONSTRAINT permission_pkey PRIMARY KEY (role, function);
ALTER TABLE ONLY l2s.queue
    ADD CONSTRAINT queue_pkey PRIMARY KEY (document_id);
ALTER TABLE ONLY l2s.result
    ADD CONSTRAINT result_pkey PRIMARY KEY (document_id);
ALTER TABLE ONLY l2s.result_0
    ADD CONSTRAINT result_0_pkey PRIMARY KEY (document_id);
ALTER TABLE ONLY l2s.salt
    ADD CONSTRAINT salt_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY l2s.setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY l2s.shadow_minute
    ADD CONSTRAINT shadow_minute_pkey PRIMARY KEY (minute, job_type);
ALTER TABLE ONLY l2s.silence
    ADD CONSTRAINT silence_pkey PRIMARY KEY (length);
ALTER TABLE ONLY l2s.tallied
    ADD CONSTRAINT tallied_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY l2s.tally
    ADD CONSTRAINT tally_pkey PRIMARY KEY (id);
ALTER TABLE ONLY l2s.turn
    ADD CONSTRAINT turn_pkey PRIMARY KEY (job_type, rank);
ALTER TABLE ONLY l2s.worker
    ADD CONSTRAINT worker_pkey PRIMARY KEY (id);
CREATE INDEX dedupe_document ON l2s.dedupe USING btree (document_id);
CREATE INDEX group_run_finished ON l2s.group_run USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX group_run_name ON l2s.group_run USING btree (name);
CREATE INDEX group_run_open ON l2s.group_run USING btree (name, id) WHERE (finished_at IS NULL);
CREATE INDEX queue_delayed ON l2s.queue USING btree (run_at) WHERE (state = 2);
CREATE INDEX queue_group ON l2s.queue USING btree (group_id) WHERE (group_id IS NOT NULL);
CREATE INDEX queue_limited ON l2s.queue USING btree (job_type) WHERE (limited AND (state = 1));
CREATE INDEX queue_ready ON l2s.queue USING btree (job_type, length_class, rank, turn, document_id) WHERE (state = 0);
CREATE INDEX queue_turn ON l2s.queue USING btree (job_type, tenant, rank, turn) WHERE (state = 0);
CREATE INDEX result_finished ON ONLY l2s.result USING brin (finished_at) WITH (pages_per_range='16', autosummarize='on');
CREATE INDEX result_0_finished_at_idx ON l2s.result_0 USING brin (finished_at) WITH (pages_per_range='16', autosummarize='on');
CREATE INDEX result_dead ON ONLY l2s.result USING btree (finished_at) WHERE ((NOT succeeded) AND (NOT cancelled));
CREATE INDEX result_0_finished_at_idx1 ON l2s.result_0 USING btree (finished_at) WHERE ((NOT succeeded) AND (NOT cancelled));
CREATE INDEX result_group ON ONLY l2s.result USING btree (group_id, written_in, document_id) INCLUDE (succeeded, cancelled) WHERE (group_id IS NOT NULL);
CREATE INDEX result_0_group_id_written_in_document_id_succeeded_cancelle_idx ON l2s.result_0 USING btree (group_id, written_in, document_id) INCLUDE (succeeded, cancelled) WHERE (group_id IS NOT NULL);
CREATE INDEX result_stream ON ONLY l2s.result USING btree (written_in, document_id);
CREATE INDEX result_0_written_in_document_id_idx ON l2s.result_0 USING btree (written_in, document_id);
CREATE INDEX worker_idle ON l2s.worker USING btree (id) WHERE idle;
ALTER INDEX l2s.attempt_error_pkey ATTACH PARTITION l2s.attempt_error_0_pkey;
ALTER INDEX l2s.document_pkey ATTACH PARTITION l2s.document_0_pkey;
ALTER INDEX l2s.result_finished ATTACH PARTITION l2s.result_0_finished_at_idx;
ALTER INDEX l2s.result_dead ATTACH PARTITION l2s.result_0_finished_at_idx1;
ALTER INDEX l2s.result_group ATTACH PARTITION l2s.result_0_group_id_written_in_document_id_succeeded_cancelle_idx;
ALTER INDEX l2s.result_pkey ATTACH PARTITION l2s.result_0_pkey;
ALTER INDEX l2s.result_stream ATTACH PARTITION l2s.result_0_written_in_document_id_idx;
CREATE TRIGGER forget_tally AFTER DELETE ON l2s.part FOR EACH ROW EXECUTE FUNCTION l2s.forget_tally();
CREATE TRIGGER jobs_barrier AFTER UPDATE OF producers_apart ON l2s.setting FOR EACH ROW EXECUTE FUNCTION l2s.set_jobs_barrier();
ALTER TABLE ONLY l2s.job_type
    ADD CONSTRAINT job_type_encoder_fkey FOREIGN KEY (encoder) REFERENCES l2s.encoder(id);
ALTER TABLE ONLY l2s.shadow_minute
    ADD CONSTRAINT shadow_minute_job_type_fkey FOREIGN KEY (job_type) REFERENCES l2s.job_type(id);
