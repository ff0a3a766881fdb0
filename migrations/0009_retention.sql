-- 9: old documents go, partition by partition.
--
-- l2s.maintain does one piece of work a call, each in a transaction of its own, and says whether more is
-- left. No piece holds a lock that claims, write-backs or enqueues wait for, but for the drop of a part,
-- which is the last of its pieces, is alone in its transaction and does not wait for its locks.

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

-- The first part; l2s.maintain makes the next.
SELECT l2s.add_part(0, 0, 100000000);
UPDATE l2s.part SET opened_at = clock_timestamp();

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

-- Deletes some of the deduplication keys of a part that is to be dropped; returns how many.
CREATE FUNCTION l2s.forget_keys(part l2s.part, keys integer DEFAULT 10000) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_sort = off SET jit = off
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

-- How many documents of a part are not finished; 1000 for more.
CREATE FUNCTION l2s.unfinished_in(part l2s.part) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    RETURN (
        SELECT count(*) FROM (
            SELECT FROM l2s.queue q
            WHERE q.document_id >= part.first_id AND q.document_id < part.after_id LIMIT 1000) AS unfinished);
END $$;

-- Takes a step towards dropping a part that is closed for long enough: deletes some of its keys, or
-- drops it. Says what it did, null for nothing, whether there is more to do at once, and whether the part
-- cannot be dropped.
CREATE FUNCTION l2s.drop_part(
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
    -- From here on nobody can put a document of it into the queue, be it new or again, and whoever was
    -- doing so has committed. Parents come first, as statements lock them: the other way around, this
    -- and a claim could wait for each other.
    -- While it waits for one, all others wait behind it: 40 ms are for all of them together.
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
        -- So that the locks go at once.
        RAISE lock_not_available;
    END IF;
    FOREACH parent IN ARRAY ARRAY['attempt_error', 'result', 'document'] LOOP
        EXECUTE format('DROP TABLE l2s.%I', parent || '_' || part.number);
    END LOOP;
    DELETE FROM l2s.part p WHERE p.number = part.number;
    more := true;
    done := format(
        'dropped document_%s, with what was enqueued from %s to %s', part.number, part.opened_at,
        part.closed_at);
EXCEPTION
    WHEN lock_not_available THEN
        more := false;
        done := format('kept document_%s for now: somebody uses it', part.number);
    WHEN OTHERS THEN
        more := false;
        failed := true;
        done := format('could not drop document_%s: %s (%s)', part.number, SQLERRM, SQLSTATE);
END $$;

-- Begins parts, always two ahead; returns a line for each thing done.
CREATE FUNCTION l2s.begin_parts(part_every interval) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
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

-- Deletes some batches, groups and workers of the past, which are small beside documents: some bytes
-- each. Returns how many.
CREATE FUNCTION l2s.forget_past(keep interval, rows integer DEFAULT 5000) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_sort = off SET jit = off
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

-- Keeps the tables in shape; workers call it, and one of them does it: one piece of work, and a row for
-- each thing that is worth telling. `more` says that more is left for the next call, `failed` that this
-- did not work; it is tried again a minute later, and what else there is to do is done.
CREATE FUNCTION l2s.maintain(at_once boolean DEFAULT false)
RETURNS TABLE (done text, more boolean, failed boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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
COMMENT ON FUNCTION l2s.maintain IS
'Begins and drops partitions and counts throughput: once a minute, by whichever worker is first. True
does it now; call it again while a row says that there is `more` to do. See l2s.setting for how long
documents are kept.';
