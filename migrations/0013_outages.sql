-- 13: what an outage costs: nothing is charged to the documents that were with workers.
--
-- A lease that runs out says that its worker is silent. While nobody reaches the server - a restart, a
-- failover, a network that is cut, a machine that sleeps - all workers are silent, and their leases run
-- out together. Whoever came back first would take them for crashes, and with the fourth such outage
-- documents would die that harmed nobody. So the server notes the silences of all workers. After one that
-- a lease may not survive, the lease has its full time again, in which its worker can renew it. A worker
-- that is dead does not renew it, and its documents are taken back then, as ever.

CREATE TABLE l2s.contact (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    heard_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 40);
INSERT INTO l2s.contact DEFAULT VALUES;
COMMENT ON TABLE l2s.contact IS 'When workers reached the server, in one row.';
COMMENT ON COLUMN l2s.contact.heard_at IS
    'The last time that a worker reached the server. Written about once a second.';

CREATE TABLE l2s.silence (
    length   interval PRIMARY KEY,
    ended_at timestamptz NOT NULL
);
COMMENT ON TABLE l2s.silence IS
    'Times in which no worker reached the server, except those that a longer and later one covers.';

-- Notes that workers reach the server. To be called about once a second, by any of them, before
-- l2s.rescue and in a transaction of its own. If somebody else is noting it, nobody waits.
CREATE FUNCTION l2s.hear() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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

-- Whether a lease of this duration that ran out tells of a crash: workers are heard, and no silence of
-- half of it or longer ended less than all of it ago. Leases are renewed every third of it.
CREATE FUNCTION l2s.is_heard(duration interval) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
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

CREATE OR REPLACE FUNCTION l2s.rescue(leases integer DEFAULT 16)
RETURNS TABLE (rescued_leases integer, suspects integer, dead integer, failures text[])
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
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

INSERT INTO l2s.permission VALUES ('l2s_worker', 'hear');
