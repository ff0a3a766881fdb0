-- 17: messages in plain words. A released migration never changes, so the functions that say these
-- messages are repeated here. Nothing but messages and comments changes in them.

CREATE OR REPLACE FUNCTION l2s.rescue_lease(lease l2s.lease, OUT suspects integer, OUT dead integer)
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

CREATE OR REPLACE FUNCTION l2s.pause_crashing() RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
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

CREATE OR REPLACE FUNCTION l2s.completed(
    after text DEFAULT NULL, "group" text DEFAULT NULL, documents integer DEFAULT 1000
) RETURNS TABLE (
    key text, id bigint, job_type text, state text, output text, error text,
    finished_at timestamptz, tokens_in integer, tokens_out integer, cut_off integer
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
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
END $$;

CREATE OR REPLACE FUNCTION l2s.drop_part(
    part l2s.part, keep interval, OUT done text, OUT more boolean, OUT failed boolean
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET lock_timeout = 0
SET enable_seqscan = off SET jit = off
AS $$
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
END $$;

CREATE OR REPLACE FUNCTION l2s.check_prompt_fields(type l2s.job_type, metadata jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
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

CREATE OR REPLACE FUNCTION l2s.refuse_arguments(
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
