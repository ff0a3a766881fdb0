-- 7: what cancelling, groups, tenants, limits and history need to remember.
--
-- Every new column has a constant default or none, so that no table is rewritten; the one index on
-- l2s.result is built while writes to it wait.

CREATE TABLE l2s.setting (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    paused          boolean NOT NULL DEFAULT false,
    producers_apart boolean NOT NULL DEFAULT false
);
INSERT INTO l2s.setting DEFAULT VALUES;
COMMENT ON TABLE l2s.setting IS 'What holds for the whole queue: one row.';
COMMENT ON COLUMN l2s.setting.producers_apart IS
    'True: of documents and results, whoever is no l2s_reader sees only what its own role enqueued.';
COMMENT ON COLUMN l2s.setting.paused IS 'See l2s.pause.';

ALTER TABLE l2s.job_type ADD COLUMN concurrent_documents integer CHECK (concurrent_documents > 0);
COMMENT ON COLUMN l2s.job_type.concurrent_documents IS
    'Not more documents of this type are with workers at a time; null: any number.';
COMMENT ON COLUMN l2s.job_type.paused IS
    'True: no worker takes further documents of this type. See l2s.pause.';

-- A name may have several rows: one that is finished is not opened again, and transactions that
-- first name a group at the same time need not wait for each other. The group is all rows of a name.
CREATE TABLE l2s.group_run (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
CREATE INDEX group_run_name ON l2s.group_run (name);
CREATE INDEX group_run_open ON l2s.group_run (name) WHERE finished_at IS NULL;
COMMENT ON TABLE l2s.group_run IS
    'The groups of documents: one row, and one more whenever documents are added to a finished group.';

ALTER TABLE l2s.document
    ADD COLUMN group_id bigint,
    ADD COLUMN tenant   text,
    ADD COLUMN producer text;
COMMENT ON COLUMN l2s.document.producer IS 'The database role that enqueued it.';

ALTER TABLE l2s.queue
    ALTER COLUMN reader DROP NOT NULL,
    ADD COLUMN turn      bigint  NOT NULL DEFAULT 0,
    ADD COLUMN group_id  bigint,
    ADD COLUMN tenant    integer NOT NULL DEFAULT 0,
    ADD COLUMN earlier   integer NOT NULL DEFAULT 0,
    ADD COLUMN cancelled boolean NOT NULL DEFAULT false,
    ADD COLUMN notify    boolean NOT NULL DEFAULT false,
    ADD COLUMN limited   boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN l2s.queue.turn IS 'See l2s.turn.';
COMMENT ON COLUMN l2s.queue.tenant IS 'Hash of the name: tenants that share one share a turn.';
COMMENT ON COLUMN l2s.queue.earlier IS 'Attempts before the last l2s.retry.';
COMMENT ON COLUMN l2s.queue.cancelled IS 'To end as cancelled; its worker hears of it in a heartbeat.';
COMMENT ON COLUMN l2s.queue.notify IS 'Somebody listens for the end of this document.';
COMMENT ON COLUMN l2s.queue.limited IS 'Leased under job_type.concurrent_documents.';
CREATE INDEX queue_group ON l2s.queue (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX queue_limited ON l2s.queue (job_type) WHERE limited AND state = 1;

-- What the documents of a batch took together, added up as they are written.
ALTER TABLE l2s.lease
    ADD COLUMN succeeded   integer NOT NULL DEFAULT 0,
    ADD COLUMN retried     integer NOT NULL DEFAULT 0,
    ADD COLUMN failed      integer NOT NULL DEFAULT 0,
    ADD COLUMN cancelled   integer NOT NULL DEFAULT 0,
    ADD COLUMN tokens_in   bigint  NOT NULL DEFAULT 0,
    ADD COLUMN tokens_out  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN tokenize_ms real    NOT NULL DEFAULT 0,
    ADD COLUMN encode_ms   real    NOT NULL DEFAULT 0,
    ADD COLUMN handoff_ms  real    NOT NULL DEFAULT 0,
    ADD COLUMN decode_ms   real    NOT NULL DEFAULT 0;
ALTER TABLE l2s.batch
    ADD COLUMN succeeded   integer,
    ADD COLUMN retried     integer,
    ADD COLUMN failed      integer,
    ADD COLUMN cancelled   integer,
    ADD COLUMN tokens_in   bigint,
    ADD COLUMN tokens_out  bigint,
    ADD COLUMN tokenize_ms real,
    ADD COLUMN encode_ms   real,
    ADD COLUMN handoff_ms  real,
    ADD COLUMN decode_ms   real;
COMMENT ON COLUMN l2s.batch.succeeded IS
    'With retried, failed and cancelled: what was written; what is left of documents went back.';
COMMENT ON COLUMN l2s.batch.tokenize_ms IS 'Sum over its documents.';
COMMENT ON COLUMN l2s.batch.encode_ms IS 'Its documents'' share of the encoder''s passes: sums count a pass once.';
COMMENT ON COLUMN l2s.batch.handoff_ms IS 'Of the document that waited longest.';
COMMENT ON COLUMN l2s.batch.decode_ms IS 'Of the document that was written longest.';

ALTER TABLE l2s.attempt_error
    ADD COLUMN claimed_at    timestamptz,
    ADD COLUMN mode          text,
    ADD COLUMN model         text,
    ADD COLUMN tokens_in     integer,
    ADD COLUMN tokens_out    integer,
    ADD COLUMN batch_size    integer,
    ADD COLUMN queue_ms      real,
    ADD COLUMN tokenize_ms   real,
    ADD COLUMN batch_wait_ms real,
    ADD COLUMN encode_ms     real,
    ADD COLUMN handoff_ms    real,
    ADD COLUMN decode_ms     real,
    ADD COLUMN writeback_ms  real;

-- A document that was cancelled while it waited had no lease.
ALTER TABLE l2s.result
    ADD COLUMN cancelled  boolean NOT NULL DEFAULT false,
    ADD COLUMN group_id   bigint,
    ADD COLUMN written_in xid8 NOT NULL DEFAULT '0',
    ALTER COLUMN lease_id   DROP NOT NULL,
    ALTER COLUMN worker_id  DROP NOT NULL,
    ALTER COLUMN claimed_at DROP NOT NULL,
    ALTER COLUMN queue_ms   DROP NOT NULL;
COMMENT ON COLUMN l2s.result.cancelled IS 'Then it did not succeed either.';
COMMENT ON COLUMN l2s.result.written_in IS
    'The transaction that wrote it: the order of l2s.completed. 0 before schema version 7.';
CREATE INDEX result_stream ON l2s.result (written_in, document_id);
CREATE INDEX result_group ON l2s.result (group_id, written_in, document_id)
    INCLUDE (succeeded, cancelled)
    WHERE group_id IS NOT NULL;
