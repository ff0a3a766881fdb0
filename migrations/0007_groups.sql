-- 7: groups, and results as a stream.

-- Whether the caller may read the documents of all producers.
CREATE FUNCTION l2s.sees_all() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN NOT (SELECT s.producers_apart FROM l2s.setting s) OR EXISTS (
        SELECT FROM pg_roles r
        WHERE (r.rolname IN ('l2s_reader', 'l2s_admin')
               OR r.oid = (SELECT c.relowner FROM pg_class c WHERE c.oid = 'l2s.queue'::regclass))
          AND pg_has_role(l2s.caller(), r.oid, 'USAGE'));
END $$;

-- The rows that together are a group.
CREATE FUNCTION l2s.group_ids(name text) RETURNS bigint[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT g.id FROM l2s.group_run g WHERE g.name = group_ids.name);
END $$;

-- Elects the caller to do something, until its transaction ends and `every` is over.
CREATE FUNCTION l2s.elect(chore text, every interval) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE l2s.chore c SET at = clock_timestamp()
    WHERE c.name = (
        SELECT d.name FROM l2s.chore d
        WHERE d.name = elect.chore AND d.at <= clock_timestamp() - elect.every
        FOR NO KEY UPDATE SKIP LOCKED);
    RETURN FOUND;
END $$;

-- Looks for groups of which nothing is left to do, notes the time and says so on channel l2s_groups,
-- the name as payload. A group that a producer is just adding to is left to the next look.
CREATE FUNCTION l2s.finish_groups() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
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

-- For a worker that leaves when the queue is empty: it may be the last for long, and the group of its
-- last document is to be told of. Looks whenever somebody else did.
CREATE FUNCTION l2s.settle_groups() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE l2s.chore c SET at = '-infinity' WHERE c.name = 'groups';
    RETURN l2s.finish_groups();
END $$;

-- How far the groups are that are not finished, for those who look every second.
CREATE FUNCTION l2s.open_groups(groups integer DEFAULT 100) RETURNS TABLE (
    name text, waiting bigint, delayed bigint, running bigint, succeeded bigint, failed bigint,
    cancelled bigint, lately bigint
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
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
            SELECT run.id FROM l2s.group_run run WHERE run.name = g.name))
        LIMIT 1000001) AS one) AS d
LEFT JOIN minute m ON m.name = g.name
ORDER BY g.id DESC
$$;
COMMENT ON FUNCTION l2s.open_groups IS
'The groups that have something left to do, the one begun last first: succeeded, failed and cancelled
as in l2s.groups, but NULL past a million of them together; lately, what finished in the last minute.';

-- Numbers of transactions belong to a cluster, and to one history of it. After a restore into another
-- cluster, a failover or a recovery to an earlier time they start somewhere else, so a new epoch begins
-- whenever the database finds itself somewhere else than it was. See l2s.adopt_cluster.
CREATE TABLE l2s.cluster (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    identity text NOT NULL,
    epoch    integer NOT NULL DEFAULT 0 CHECK (epoch BETWEEN 0 AND 1000000)
);
COMMENT ON TABLE l2s.cluster IS 'Where this database was when results were last written.';

-- The system's identifier and the history of its write-ahead log; null on a standby, which only reads.
CREATE FUNCTION l2s.cluster_identity() RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN NOT pg_is_in_recovery() THEN
        (SELECT c.system_identifier FROM pg_control_system() AS c)
            || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) END;
END $$;
INSERT INTO l2s.cluster (identity) VALUES (l2s.cluster_identity());

-- A transaction's number as result.written_in has it: 2^42 of them fit into an epoch, which are a
-- thousand a second for 139 years.
CREATE FUNCTION l2s.mark(transaction xid8) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT (c.epoch::bigint << 42) + mark.transaction::text::bigint FROM l2s.cluster c);
END $$;

-- Whether the database is still where l2s.cluster says; a standby, which only reads, says yes.
CREATE FUNCTION l2s.is_at_home() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(
        (SELECT c.identity FROM l2s.cluster c) = l2s.cluster_identity(), true);
END $$;

-- Begins a new epoch when the database is somewhere else than it was: restored into another cluster,
-- recovered to an earlier time, or on a standby that was promoted. Workers call it with each connection
-- that they make. Results that are written from then on come behind all that there are, whatever the
-- numbers of transactions are now. Returns whether it began one.
CREATE FUNCTION l2s.adopt_cluster() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
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

-- Transactions write results at the same time and commit in any order: a key by time or sequence
-- would pass over what commits late. This one is the transaction's number, in the epoch of l2s.cluster,
-- and nothing is shown before every transaction with a smaller one has ended. So a long writing
-- transaction anywhere in the server holds the stream up, and loses nothing of it.
-- The rows of a page are looked for in the partitions between its ends only.
CREATE FUNCTION l2s.completed(
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
            HINT = 'Run l2s migrate, or start a worker: either begins a new epoch. A key from before '
                'stays good: what is finished from then on comes behind it.';
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
COMMENT ON FUNCTION l2s.completed IS
'At most `documents` finished documents, of a group or all, in the order of their completion, from
behind a key on: keep the key of the last row, and pass it to the next call. None is ever left out.';
