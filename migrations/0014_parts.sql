-- 14: document, result and attempt_error become partitioned, by the document's id.
--
-- By id and not by time: it leads every lookup to one partition, keeps id the primary key, so that
-- a second result for a document is impossible, and lets all that is known of a document go at once.
-- l2s.maintain makes partitions ones of time all the same, by beginning a new one every day.
-- Existing tables become the first partition as they are.

ALTER TABLE l2s.document VALIDATE CONSTRAINT first_part;
ALTER TABLE l2s.result VALIDATE CONSTRAINT first_part;
ALTER TABLE l2s.attempt_error VALIDATE CONSTRAINT first_part;

-- They name the tables that are renamed; the next steps make them anew.
DROP VIEW l2s.jobs;
DROP VIEW l2s.throughput;

ALTER TABLE l2s.document RENAME TO document_0;
ALTER TABLE l2s.result RENAME TO result_0;
ALTER TABLE l2s.attempt_error RENAME TO attempt_error_0;

CREATE TABLE l2s.document (LIKE l2s.document_0 INCLUDING ALL) PARTITION BY RANGE (id);
CREATE TABLE l2s.result (LIKE l2s.result_0 INCLUDING ALL) PARTITION BY RANGE (document_id);
CREATE TABLE l2s.attempt_error (LIKE l2s.attempt_error_0 INCLUDING ALL)
    PARTITION BY RANGE (document_id);
ALTER TABLE l2s.document DROP CONSTRAINT first_part;
ALTER TABLE l2s.result DROP CONSTRAINT first_part;
ALTER TABLE l2s.attempt_error DROP CONSTRAINT first_part;

DO $$
DECLARE
    bound bigint := (SELECT p.after_id FROM l2s.part p);
BEGIN
    EXECUTE format(
        'ALTER TABLE l2s.document ATTACH PARTITION l2s.document_0 FOR VALUES FROM (MINVALUE) TO (%s)',
        bound);
    EXECUTE format(
        'ALTER TABLE l2s.result ATTACH PARTITION l2s.result_0 FOR VALUES FROM (MINVALUE) TO (%s)',
        bound);
    EXECUTE format(
        'ALTER TABLE l2s.attempt_error ATTACH PARTITION l2s.attempt_error_0'
            ' FOR VALUES FROM (MINVALUE) TO (%s)', bound);
END $$;
ALTER TABLE l2s.document_0 DROP CONSTRAINT first_part;
ALTER TABLE l2s.result_0 DROP CONSTRAINT first_part;
ALTER TABLE l2s.attempt_error_0 DROP CONSTRAINT first_part;

COMMENT ON TABLE l2s.document IS 'Every document that is kept; never updated.';
COMMENT ON TABLE l2s.result IS 'What became of each finished document; written once, never updated.';
COMMENT ON TABLE l2s.attempt_error IS 'Every attempt that went wrong, those before a success too.';
