-- 23: what is read often no longer takes time in proportion to all results that are kept.

-- A week is begun at a time: reading through few partitions is planned fast and well, and 90 days
-- are dropped in thirteen steps.
ALTER TABLE l2s.setting ALTER part_every SET DEFAULT '1 week';
UPDATE l2s.setting SET part_every = '1 week' WHERE part_every = '1 day';

-- Nothing is sorted for "the last fifty of l2s.jobs" when the view is merged into the statement.
-- A security barrier, which keeps a statement's own functions from seeing the rows of others, does
-- not allow that: there is one only while there is something to be kept apart.
CREATE FUNCTION l2s.set_jobs_barrier() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER VIEW l2s.jobs SET (security_barrier = %s)', NEW.producers_apart);
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_barrier AFTER UPDATE OF producers_apart ON l2s.setting
    FOR EACH ROW EXECUTE FUNCTION l2s.set_jobs_barrier();
UPDATE l2s.setting SET producers_apart = producers_apart;

-- Finished documents by the part that they are in, added up: those whose results were written by
-- transactions before `tallied.until`. Several rows may be of one part and job type.
CREATE TABLE l2s.tally (
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
    until    xid8 NOT NULL
);
INSERT INTO l2s.tallied (until) VALUES ('0');

CREATE FUNCTION l2s.count_results(since xid8, until xid8) RETURNS SETOF l2s.tally
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT
        (SELECT substring(c.relname FROM '\d+$')::integer FROM pg_class c WHERE c.oid = r.tableoid),
        r.job_type,
        count(*) FILTER (WHERE r.succeeded),
        count(*) FILTER (WHERE NOT r.succeeded AND NOT r.cancelled),
        count(*) FILTER (WHERE r.cancelled)
    FROM l2s.result r
    WHERE r.written_in >= since AND r.written_in < until
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
        SELECT * FROM l2s.tally
        UNION ALL
        SELECT * FROM l2s.count_results(
            (SELECT c.until FROM l2s.tallied c), '18446744073709551615')) AS t
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
    since xid8;
    ends  xid8 := pg_snapshot_xmin(pg_current_snapshot());
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
    WITH gone AS (DELETE FROM l2s.tally t RETURNING t.*)
    INSERT INTO l2s.tally
    SELECT t.part, t.job_type, sum(t.succeeded), sum(t.failed), sum(t.cancelled)
    FROM (
        SELECT * FROM gone
        UNION ALL
        SELECT * FROM l2s.count_results(since, ends)) AS t
    GROUP BY t.part, t.job_type;
    UPDATE l2s.tallied t SET until = ends;
END $$;

-- Counts what is over, before the documents that are counted may go: results, and minutes of six
-- hours at most. Those two minutes later, so that what commits late is there.
CREATE OR REPLACE FUNCTION l2s.count_past() RETURNS integer
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

CREATE FUNCTION l2s.forget_tally() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM l2s.tally t WHERE t.part = OLD.number;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_tally AFTER DELETE ON l2s.part
    FOR EACH ROW EXECUTE FUNCTION l2s.forget_tally();

CREATE OR REPLACE FUNCTION l2s.retry(VARIADIC documents bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    again   record;
    counted xid8;
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
            document_id, run_at, job_type, tokens, rank, lane, state, tenant, group_id, earlier,
            turn)
        SELECT
            d.id, clock_timestamp(), d.job_type, size.tokens, -d.priority, l2s.lane(size.tokens), 0,
            flow.tenant, (
                SELECT l2s.open_group(g.name) FROM l2s.group_run g WHERE g.id = d.group_id),
            again.attempt,
            size.tokens + l2s.last_turn(d.job_type, flow.tenant, (-d.priority)::smallint)
        FROM l2s.document d
        CROSS JOIN LATERAL (SELECT octet_length(d.body) / 4 + 1 AS tokens) AS size
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

-- The rows of a page are looked for in the partitions between its ends only.
CREATE OR REPLACE FUNCTION l2s.completed(
    after text DEFAULT NULL, "group" text DEFAULT NULL, documents integer DEFAULT 1000
) RETURNS TABLE (
    key text, id bigint, job_type text, state text, output text, error text,
    finished_at timestamptz, tokens_in integer, tokens_out integer
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    past xid8 := '0';
    seen bigint := 0;
    rest xid8 := pg_snapshot_xmin(pg_current_snapshot());
    runs bigint[];
    page bigint[];
    low  bigint;
    high bigint;
    all_producers boolean := l2s.sees_all();
BEGIN
    IF after IS NOT NULL THEN
        IF after !~ '^[0-9]{1,19}-[0-9]{1,18}$' THEN
            RAISE EXCEPTION 'expected after to be a key of l2s.completed, got %', quote_literal(after)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        past := split_part(after, '-', 1)::xid8;
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
        r.output, r.error, r.finished_at, r.tokens_in, r.tokens_out
    FROM l2s.result r JOIN l2s.job_type t ON t.id = r.job_type
    WHERE r.document_id = ANY (page) AND r.document_id BETWEEN low AND high
    ORDER BY r.written_in, r.document_id;
END $$;

INSERT INTO l2s.permission (role, function) VALUES
    ('l2s_worker', 'count_finished'), ('l2s_reader', 'count_finished'),
    ('l2s_admin', 'count_finished');

-- What claims called before step 19.
DROP FUNCTION l2s.due_lanes(bigint, integer[]);
DROP FUNCTION l2s.heads(integer[]);
