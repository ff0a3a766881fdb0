-- 22: how far the groups are that are not finished, for those who look every second.

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

INSERT INTO l2s.permission (role, function) VALUES
    ('l2s_worker', 'open_groups'), ('l2s_reader', 'open_groups'), ('l2s_admin', 'open_groups');
