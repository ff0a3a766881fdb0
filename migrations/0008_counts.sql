-- 8: what is counted once, so that what is read often takes no time in proportion to all results.

-- Finished documents by the part that they are in, added up: those whose results were written by
-- transactions before `tallied.until`. Several rows may be of one part and job type.
CREATE TABLE l2s.tally (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    part      integer NOT NULL,
    job_type  integer NOT NULL,
    succeeded bigint NOT NULL,
    failed    bigint NOT NULL,
    cancelled bigint NOT NULL
);
COMMENT ON TABLE l2s.tally IS
    'Results that l2s.count_finished need not count again: sum them up.';
CREATE TABLE l2s.tallied (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    until    bigint NOT NULL
);
INSERT INTO l2s.tallied (until) VALUES (0);
COMMENT ON TABLE l2s.tallied IS 'Results that were written before this are in l2s.tally.';

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

-- Counted as it comes: l2s.throughput has no need to look for the few among all results.
CREATE TABLE l2s.shadow_minute (
    minute    timestamptz NOT NULL,
    job_type  integer NOT NULL REFERENCES l2s.job_type,
    documents bigint NOT NULL,
    agreement double precision NOT NULL,
    PRIMARY KEY (minute, job_type)
);
COMMENT ON TABLE l2s.shadow_minute IS
    'Documents that the large model wrote too, by minute, and the sum of their agreements.';

CREATE FUNCTION l2s.count_results(since bigint, until bigint) RETURNS TABLE (
    part integer, job_type integer, succeeded bigint, failed bigint, cancelled bigint
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
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
END $$;

CREATE FUNCTION l2s.count_finished() RETURNS TABLE (
    job_type integer, succeeded bigint, failed bigint, cancelled bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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
COMMENT ON FUNCTION l2s.count_finished IS
'How many documents of each job type are finished, of those that are kept.';

-- Tallies results, of a million documents at most: whoever comes later goes on. Transactions that
-- may still write, or run documents again, are left to the next call.
CREATE FUNCTION l2s.tally_results() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
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

CREATE FUNCTION l2s.count_minutes(since timestamptz, until timestamptz) RETURNS SETOF l2s.minute
LANGUAGE plpgsql STABLE SECURITY DEFINER
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

-- Counts what is over, before the documents that are counted may go: results, and minutes of six
-- hours at most. Those two minutes later, so that what commits late is there.
CREATE FUNCTION l2s.count_past() RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
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

-- The second half of a write-back, for the few documents that have an `agreement`: the arguments of
-- l2s.complete, called after it. Repeating it changes nothing.
CREATE FUNCTION l2s.note_agreement(lease_id bigint, documents json) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
    WITH noted AS (
        UPDATE l2s.result r SET agreement = d.agreement
        FROM json_to_recordset(note_agreement.documents) AS d(id bigint, agreement real)
        WHERE d.agreement IS NOT NULL AND r.agreement IS NULL
          AND r.document_id = d.id AND r.lease_id = note_agreement.lease_id
        RETURNING r.job_type, date_trunc('minute', r.finished_at) AS minute, r.agreement)
    INSERT INTO l2s.shadow_minute AS m (minute, job_type, documents, agreement)
    SELECT n.minute, n.job_type, count(*), sum(n.agreement)
    FROM noted n GROUP BY n.minute, n.job_type ORDER BY n.minute, n.job_type
    ON CONFLICT (minute, job_type) DO UPDATE SET
        documents = m.documents + excluded.documents,
        agreement = m.agreement + excluded.agreement
$$;
