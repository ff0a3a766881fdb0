-- 13: makes the tables of documents and results ready to become partitions, see the next step.
--
-- Every row has an id under a bound that is far from reached. Said here, proven in the next step:
-- so neither holds a lock that workers wait for while it reads a table.

DO $$
DECLARE
    bound bigint := ((SELECT last_value FROM l2s.document_id) / 100000000 + 2) * 100000000;
BEGIN
    EXECUTE format(
        'ALTER TABLE l2s.document ADD CONSTRAINT first_part CHECK (id < %s) NOT VALID', bound);
    EXECUTE format(
        'ALTER TABLE l2s.result ADD CONSTRAINT first_part CHECK (document_id < %s) NOT VALID', bound);
    EXECUTE format(
        'ALTER TABLE l2s.attempt_error ADD CONSTRAINT first_part CHECK (document_id < %s) NOT VALID',
        bound);
    CREATE TABLE l2s.part (
        number    integer PRIMARY KEY,
        first_id  bigint NOT NULL,
        after_id  bigint NOT NULL,
        opened_at timestamptz,
        closed_at timestamptz,
        CHECK (first_id < after_id)
    );
    INSERT INTO l2s.part VALUES (0, 0, bound, clock_timestamp());
END $$;
COMMENT ON TABLE l2s.part IS
'The parts that document, result and attempt_error are made of: each holds the ids from first_id to
before after_id, and those of a time, because a new one is begun after setting.part_every.';
