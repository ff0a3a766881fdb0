-- 9: old documents go, partition by partition.

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
LANGUAGE plpgsql SECURITY DEFINER
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
    PERFORM l2s.demand_read_committed();
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
