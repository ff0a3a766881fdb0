-- 2: how documents get in: l2s.enqueue, in the caller's own transaction.

-- Tells the workers that something became ready. A notification takes a lock on the whole cluster
-- when its transaction commits, so there is one only while a worker is idle. A worker that falls
-- idle in between finds the document by polling.
CREATE FUNCTION l2s.wake() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM l2s.worker w
        WHERE w.idle AND w.seen_at > clock_timestamp() - interval '1 minute'
    ) THEN
        PERFORM pg_notify('l2s_work', '');
    END IF;
END $$;

CREATE FUNCTION l2s.enqueue(
    job_type   text,
    document   text,
    priority   integer DEFAULT 0,
    run_at     timestamptz DEFAULT now(),
    dedupe_key text DEFAULT NULL,
    metadata   jsonb DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    type   l2s.job_type;
    bytes  integer := octet_length(document);
    new_id bigint;
    stamp  timestamptz := clock_timestamp();
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

    INSERT INTO l2s.document (
        id, job_type, priority, run_at, enqueued_at, body, dedupe_key, metadata)
    VALUES (new_id, type.id, priority, run_at, stamp, document, dedupe_key, metadata);

    INSERT INTO l2s.queue (document_id, run_at, reader, job_type, tokens, rank, lane, state)
    VALUES (
        new_id, greatest(run_at, stamp), type.reader, type.id,
        bytes / 4 + 1, -priority, l2s.lane(bytes / 4 + 1),
        CASE WHEN run_at > stamp THEN 2 ELSE 0 END);
    IF run_at <= stamp THEN
        PERFORM l2s.wake();
    END IF;
    RETURN new_id;
END $$;
COMMENT ON FUNCTION l2s.enqueue IS
'Puts a document through a job type and returns the job''s id.
priority: greater is sooner. run_at: not before this time. dedupe_key: a job of the same type and key
is not enqueued again, its id is returned. metadata: kept beside the job, not read by l2s.
Over a table: SELECT l2s.enqueue(''summarize'', body) FROM articles';

-- Makes the job types of a jobs folder known, or their changes; types that are absent from
-- `definitions` stay as they are. Unfinished documents follow a type that changed its reader.
CREATE FUNCTION l2s.sync_job_types(definitions json) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moved integer[];
BEGIN
    INSERT INTO l2s.reader (name)
    SELECT DISTINCT d.reader FROM json_to_recordset(definitions) AS d(reader text) ORDER BY 1
    ON CONFLICT DO NOTHING;

    moved := ARRAY(
        SELECT t.id
        FROM json_to_recordset(definitions) AS d(name text, reader text)
        JOIN l2s.job_type t ON t.name = d.name
        JOIN l2s.reader r ON r.id = t.reader
        WHERE r.name <> d.reader);

    INSERT INTO l2s.job_type (
        name, reader, mode, llm, slm, document_bytes, maximum_attempts, backoff, maximum_backoff)
    SELECT
        d.name, r.id, d.mode, d.llm, d.slm, d.document_bytes, d.maximum_attempts,
        make_interval(secs => d.backoff), make_interval(secs => d.maximum_backoff)
    FROM json_to_recordset(definitions) AS d(
        name text, reader text, mode text, llm text, slm text, document_bytes integer,
        maximum_attempts integer, backoff double precision, maximum_backoff double precision)
    JOIN l2s.reader r ON r.name = d.reader
    ORDER BY d.name
    ON CONFLICT (name) DO UPDATE SET
        reader = excluded.reader, mode = excluded.mode, llm = excluded.llm, slm = excluded.slm,
        document_bytes = excluded.document_bytes, maximum_attempts = excluded.maximum_attempts,
        backoff = excluded.backoff, maximum_backoff = excluded.maximum_backoff;

    IF moved <> '{}' THEN
        UPDATE l2s.queue q SET reader = t.reader
        FROM l2s.job_type t
        WHERE t.id = q.job_type AND q.document_id = ANY (ARRAY(
            SELECT w.document_id FROM l2s.queue w
            WHERE w.job_type = ANY (moved) ORDER BY w.document_id FOR UPDATE));
        PERFORM l2s.wake();
    END IF;
END $$;
