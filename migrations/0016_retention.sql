-- 16: old documents go, partition by partition, and throughput is counted once.

ALTER TABLE l2s.setting
    ADD COLUMN keep       interval NOT NULL DEFAULT '90 days',
    ADD COLUMN part_every interval NOT NULL DEFAULT '1 day';
COMMENT ON COLUMN l2s.setting.keep IS
    'How long documents are kept with all that is known of them, after they are finished.';
COMMENT ON COLUMN l2s.setting.part_every IS
    'How often a new partition is begun; what is dropped at a time.';
INSERT INTO l2s.chore VALUES ('maintain', '-infinity');

-- Minutes that are over, see l2s.throughput.
CREATE TABLE l2s.minute (
    minute      timestamptz NOT NULL,
    job_type    integer NOT NULL,
    documents   bigint NOT NULL,
    failures    bigint NOT NULL,
    tokens_in   bigint NOT NULL,
    tokens_out  bigint NOT NULL,
    seconds     double precision NOT NULL,
    queue_ms    double precision[],
    encode_ms   double precision[],
    decode_ms   double precision[],
    total_ms    double precision[],
    PRIMARY KEY (minute, job_type)
);
COMMENT ON TABLE l2s.minute IS
    'l2s.throughput of minutes that are over; arrays are the 50th, 95th and 99th percentile.';
CREATE TABLE l2s.counted (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    until    timestamptz NOT NULL
);
INSERT INTO l2s.counted (until) VALUES ('-infinity');
COMMENT ON TABLE l2s.counted IS 'Up to this time, results are counted in l2s.minute.';

CREATE FUNCTION l2s.count_minutes(since timestamptz, until timestamptz) RETURNS SETOF l2s.minute
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
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

CREATE VIEW l2s.throughput AS
SELECT
    m.minute, t.name AS job_type, m.documents, m.failures, m.tokens_in, m.tokens_out,
    m.documents / m.seconds AS documents_per_s,
    (m.tokens_in + m.tokens_out) / m.seconds AS tokens_per_s,
    m.queue_ms[1] AS queue_p50_ms, m.queue_ms[2] AS queue_p95_ms, m.queue_ms[3] AS queue_p99_ms,
    m.encode_ms[1] AS encode_p50_ms, m.encode_ms[2] AS encode_p95_ms, m.encode_ms[3] AS encode_p99_ms,
    m.decode_ms[1] AS decode_p50_ms, m.decode_ms[2] AS decode_p95_ms, m.decode_ms[3] AS decode_p99_ms,
    m.total_ms[1] AS total_p50_ms, m.total_ms[2] AS total_p95_ms, m.total_ms[3] AS total_p99_ms
FROM (
    SELECT * FROM l2s.minute
    UNION ALL
    SELECT * FROM l2s.count_minutes((SELECT c.until FROM l2s.counted c), 'infinity')) AS m
JOIN l2s.job_type t ON t.id = m.job_type
ORDER BY m.minute, t.name;
COMMENT ON VIEW l2s.throughput IS
'Finished documents per minute and job type, failed ones included, cancelled ones not. Rates are over
the part of the minute in which documents were in work. total is from ready to finished. Minutes stay
when their documents are no longer kept.';
COMMENT ON COLUMN l2s.throughput.tokens_per_s IS 'Read and written tokens together.';

-- Counts minutes that are over, of six hours at most. Two minutes later, so that what commits late is there.
CREATE FUNCTION l2s.count_past() RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    since timestamptz;
    ends  timestamptz := date_trunc('minute', clock_timestamp()) - interval '2 minutes';
    rows  integer;
BEGIN
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

-- Adds an empty partition to each of the three tables.
CREATE FUNCTION l2s.add_part(number integer, first_id bigint, after_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
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
END $$;

-- Drops a part whose documents are all finished and no longer kept, and says what it did; null when
-- it is too early. Gives up after a second when somebody reads what is to go.
CREATE FUNCTION l2s.drop_part(number integer) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    part   l2s.part;
    parent text;
    kept   bigint;
    recent boolean;
BEGIN
    SELECT * INTO part FROM l2s.part p WHERE p.number = drop_part.number;
    SELECT count(*) INTO kept FROM l2s.queue q
    WHERE q.document_id >= part.first_id AND q.document_id < part.after_id;
    IF kept > 0 THEN
        RETURN format('kept document_%s: %s documents in it are not finished', number, kept);
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM l2s.result_%s WHERE finished_at > clock_timestamp() - $1)', number)
        INTO recent USING (SELECT s.keep FROM l2s.setting s);
    IF recent THEN
        RETURN NULL;
    END IF;
    -- From here on nobody can put a document of it into the queue again.
    EXECUTE format('LOCK TABLE l2s.result_%s IN ACCESS EXCLUSIVE MODE', number);
    IF EXISTS (
        SELECT FROM l2s.queue q
        WHERE q.document_id >= part.first_id AND q.document_id < part.after_id
    ) THEN
        RETURN NULL;
    END IF;
    FOREACH parent IN ARRAY ARRAY['attempt_error', 'result', 'document'] LOOP
        EXECUTE format('DROP TABLE l2s.%I', parent || '_' || number);
    END LOOP;
    DELETE FROM l2s.dedupe d WHERE d.document_id >= part.first_id AND d.document_id < part.after_id;
    DELETE FROM l2s.part p WHERE p.number = drop_part.number;
    RETURN format(
        'dropped document_%s, with what was enqueued from %s to %s', number, part.opened_at,
        part.closed_at);
EXCEPTION WHEN lock_not_available THEN
    RETURN format('kept document_%s for now: somebody reads it', number);
END $$;

-- Keeps the tables in shape; workers call it, and one of them does it. Returns a line for each thing
-- done.
CREATE FUNCTION l2s.maintain(at_once boolean DEFAULT false) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known    l2s.setting;
    current  l2s.part;
    part     l2s.part;
    next_id  bigint;
    gone     bigint;
    line     text;
BEGIN
    IF NOT l2s.elect('maintain', CASE WHEN at_once THEN '0' ELSE '1 minute' END::interval) THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM l2s.setting;

    -- Before the documents that are counted may go.
    IF l2s.count_past() > 0 THEN
        RETURN NEXT 'counted the throughput of minutes that are over';
    END IF;

    next_id := (SELECT s.last_value + s.is_called::integer FROM l2s.document_id s);
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
    IF current.opened_at <= clock_timestamp() - known.part_every
        AND EXISTS (SELECT FROM l2s.document d WHERE d.id >= current.first_id)
    THEN
        -- Ids jump to the next one. A transaction that took its id before still writes to this one.
        PERFORM setval('l2s.document_id', current.after_id - 1);
        RETURN NEXT format('began document_%s', current.number + 1);
    END IF;

    FOR part IN
        SELECT p.* FROM l2s.part p
        WHERE p.closed_at <= clock_timestamp() - known.keep ORDER BY p.number
    LOOP
        line := l2s.drop_part(part.number);
        IF line IS NOT NULL THEN
            RETURN NEXT line;
        END IF;
    END LOOP;

    -- Small beside those: some bytes per batch, group and worker. A lease's id begins with its time.
    DELETE FROM l2s.batch b WHERE b.lease_id < (
        extract(epoch FROM clock_timestamp() - known.keep) * 1000)::bigint << 20;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        RETURN NEXT format('deleted %s batches', gone);
    END IF;
    DELETE FROM l2s.group_run g WHERE g.finished_at < clock_timestamp() - known.keep * 2;
    DELETE FROM l2s.worker w WHERE w.seen_at < clock_timestamp() - known.keep - interval '1 day'
        AND NOT EXISTS (SELECT FROM l2s.lease l WHERE l.worker_id = w.id);
END $$;
COMMENT ON FUNCTION l2s.maintain IS
'Begins and drops partitions and counts throughput: once a minute, by whichever worker is first. True
does it now. See l2s.setting for how long documents are kept.';
