-- 1: the tables of the queue.
--
-- There are several because what changes often is kept apart from what is written once. A document
-- and its result are written once and read once. Only the narrow rows of queue and lease change, and
-- they disappear when the work is done, so a claim costs the same at ten thousand documents and at
-- ten million. There are no foreign keys on the hot path.
--
-- document, result and attempt_error are partitioned by the document's id and not by time: the id
-- leads every lookup to one partition, it stays the primary key, so that a second result for a
-- document is impossible, and all that is known of a document is dropped at once. l2s.maintain makes
-- partitions of time all the same, because it begins a new one every setting.part_every.

CREATE TABLE l2s.setting (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    paused          boolean NOT NULL DEFAULT false,
    producers_apart boolean NOT NULL DEFAULT false,
    notifies        boolean NOT NULL DEFAULT true,
    keep            interval DEFAULT '90 days'
        CONSTRAINT keep_is_sensible CHECK (keep BETWEEN '1 hour' AND '1000 years'),
    part_every      interval NOT NULL DEFAULT '1 week'
        CONSTRAINT part_every_is_sensible CHECK (part_every BETWEEN '1 minute' AND '1000 years')
);
INSERT INTO l2s.setting DEFAULT VALUES;
COMMENT ON TABLE l2s.setting IS 'What holds for the whole queue: one row.';
COMMENT ON COLUMN l2s.setting.paused IS 'See l2s.pause.';
COMMENT ON COLUMN l2s.setting.producers_apart IS
'True: whoever is neither l2s_reader nor l2s_admin sees only the documents, results and groups of its own
role, and dedupe keys and groups of the same name are apart, one for each role that enqueues. What cannot
be kept apart are times: a document whose text was read lately for somebody else is done sooner.';
COMMENT ON COLUMN l2s.setting.notifies IS
'False: l2s.enqueue never notifies idle workers, which find documents by polling, so that transactions
that enqueue can be prepared for two-phase commit.';
COMMENT ON COLUMN l2s.setting.keep IS
'How long documents are kept with all that is known of them, after they are finished; null: for ever.';
COMMENT ON COLUMN l2s.setting.part_every IS
    'How often a new partition is begun, which is also what is dropped at a time.';

CREATE TABLE l2s.encoder (
    id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE l2s.encoder IS
    'Models that read documents. Job types of one encoder share batches.';

CREATE TABLE l2s.job_type (
    id                   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                 text COLLATE "C" NOT NULL UNIQUE,
    encoder              integer NOT NULL REFERENCES l2s.encoder,
    mode                 text NOT NULL,
    llm                  text,
    slm                  text,
    document_bytes       integer NOT NULL CHECK (document_bytes > 0),
    maximum_attempts     integer NOT NULL CHECK (maximum_attempts > 0),
    backoff              interval NOT NULL,
    maximum_backoff      interval NOT NULL,
    concurrent_documents integer CHECK (concurrent_documents > 0),
    paused               boolean NOT NULL DEFAULT false,
    paused_because       text
);
COMMENT ON TABLE l2s.job_type IS
    'What can be done to a document; written from jobs/*.yaml by l2s migrate and by each worker''s start.';
COMMENT ON COLUMN l2s.job_type.document_bytes IS 'l2s.enqueue refuses a text of more bytes.';
COMMENT ON COLUMN l2s.job_type.concurrent_documents IS
    'Not more documents of this type are with workers at a time; null: any number.';
COMMENT ON COLUMN l2s.job_type.paused IS
    'True: no worker takes further documents of this type. See l2s.pause.';
COMMENT ON COLUMN l2s.job_type.paused_because IS
    'Why it paused itself; null when somebody paused it, or nobody did.';

-- Names and keys have collation "C": the order of others changes with the system's libraries, and with
-- it which rows an index finds.
--
-- A name may have several rows: one that is finished is not opened again, and transactions that
-- first name a group at the same time need not wait for each other. The group is all rows of a name.
CREATE TABLE l2s.group_run (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text COLLATE "C" NOT NULL,
    producer    text COLLATE "C" NOT NULL,
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
CREATE INDEX group_run_name ON l2s.group_run (name);
CREATE INDEX group_run_open ON l2s.group_run (name, id) WHERE finished_at IS NULL;
CREATE INDEX group_run_finished ON l2s.group_run (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE l2s.group_run IS
    'The groups of documents: one row, and one more whenever documents are added to a finished group.';
COMMENT ON COLUMN l2s.group_run.producer IS 'The database role that opened it.';

CREATE SEQUENCE l2s.document_id AS bigint;

CREATE TABLE l2s.document (
    id          bigint PRIMARY KEY DEFAULT nextval('l2s.document_id'),
    job_type    integer NOT NULL,
    priority    smallint NOT NULL,
    run_at      timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL,
    group_id    bigint,
    body        text COMPRESSION lz4,
    dedupe_key  text,
    tenant      text,
    producer    text,
    metadata    jsonb,
    siblings    bigint[]
) PARTITION BY RANGE (id);
COMMENT ON TABLE l2s.document IS 'Every document that is kept; never updated.';
COMMENT ON COLUMN l2s.document.body IS
    'Null where the first of its siblings holds the text: see l2s.text_of.';
COMMENT ON COLUMN l2s.document.siblings IS
'The jobs that one call of l2s.enqueue made of one text, itself included, in order; null where it made
one. All of them are in the same partition.';
COMMENT ON COLUMN l2s.document.producer IS 'The database role that enqueued it.';

CREATE TABLE l2s.dedupe (
    job_type    integer NOT NULL,
    producer    text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    document_id bigint NOT NULL,
    PRIMARY KEY (job_type, key, producer)
);
CREATE INDEX dedupe_document ON l2s.dedupe (document_id);
COMMENT ON TABLE l2s.dedupe IS
    'Deduplication keys, apart from document because a unique key cannot span partitions.';
COMMENT ON COLUMN l2s.dedupe.producer IS
    'The role whose key it is while setting.producers_apart, else empty: everybody''s.';

-- One row for each document that is not finished: about 100 bytes, all of them of fixed width but
-- for the siblings of those that have some.
CREATE TABLE l2s.queue (
    document_id  bigint PRIMARY KEY,
    lease_id     bigint,
    run_at       timestamptz NOT NULL,
    turn         bigint NOT NULL DEFAULT 0,
    group_id     bigint,
    job_type     integer NOT NULL,
    tokens       integer NOT NULL,
    tenant       integer NOT NULL DEFAULT 0,
    claims       integer NOT NULL DEFAULT 0,
    earlier      integer NOT NULL DEFAULT 0,
    errors       smallint NOT NULL DEFAULT 0,
    crashes      smallint NOT NULL DEFAULT 0,
    rank         smallint NOT NULL,
    length_class smallint NOT NULL,
    state        smallint NOT NULL,
    cancelled    boolean NOT NULL DEFAULT false,
    notify       boolean NOT NULL DEFAULT false,
    limited      boolean NOT NULL DEFAULT false,
    siblings     bigint[],
    CHECK (state BETWEEN 0 AND 2),
    CHECK ((state = 1) = (lease_id IS NOT NULL))
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE l2s.queue IS 'The documents that are not finished.';
COMMENT ON COLUMN l2s.queue.run_at IS 'Ready since this moment; for a delayed document, from it on.';
COMMENT ON COLUMN l2s.queue.turn IS 'See l2s.turn.';
COMMENT ON COLUMN l2s.queue.tokens IS 'Estimate: bytes / 4.';
COMMENT ON COLUMN l2s.queue.tenant IS 'Hash of the name: tenants that share one share a turn.';
COMMENT ON COLUMN l2s.queue.claims IS 'How often a worker took it, releases included.';
COMMENT ON COLUMN l2s.queue.earlier IS 'Attempts before the last l2s.retry.';
COMMENT ON COLUMN l2s.queue.errors IS 'Attempts that a worker reported as failed.';
COMMENT ON COLUMN l2s.queue.crashes IS 'Attempts whose worker was never heard of again.';
COMMENT ON COLUMN l2s.queue.rank IS 'Minus the priority, so that one ascending index gives the order.';
COMMENT ON COLUMN l2s.queue.length_class IS 'See l2s.length_class.';
COMMENT ON COLUMN l2s.queue.state IS '0 ready, 1 leased, 2 delayed';
COMMENT ON COLUMN l2s.queue.cancelled IS 'To end as cancelled; its worker hears of it in a heartbeat.';
COMMENT ON COLUMN l2s.queue.notify IS 'Somebody listens for the end of this document.';
COMMENT ON COLUMN l2s.queue.limited IS 'Leased under job_type.concurrent_documents.';
COMMENT ON COLUMN l2s.queue.siblings IS
    'See l2s.document; finished ones included. They are claimed together where they can be.';

-- The index of what is ready leads with the job type: one that is paused or at its limit costs a
-- claim nothing, however many of its documents wait.
CREATE INDEX queue_ready ON l2s.queue (job_type, length_class, rank, turn, document_id)
    WHERE state = 0;
CREATE INDEX queue_turn ON l2s.queue (job_type, tenant, rank, turn) WHERE state = 0;
CREATE INDEX queue_delayed ON l2s.queue (run_at) WHERE state = 2;
CREATE INDEX queue_group ON l2s.queue (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX queue_limited ON l2s.queue (job_type) WHERE limited AND state = 1;

CREATE TABLE l2s.turn (
    job_type integer NOT NULL,
    rank     smallint NOT NULL,
    turn     bigint NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (job_type, rank)
) WITH (fillfactor = 40);
COMMENT ON TABLE l2s.turn IS
    'Where the queue stands: the turn of what was claimed last. Written about once a second.';

-- It is unlogged: after a crash of the server it is empty, and claims look from the start.
CREATE UNLOGGED TABLE l2s.floor (
    job_type integer PRIMARY KEY,
    rank     smallint NOT NULL,
    turn     bigint NOT NULL,
    moved_at timestamptz NOT NULL,
    look_at  timestamptz NOT NULL
) WITH (fillfactor = 40);
COMMENT ON TABLE l2s.floor IS
    'Where claims begin to look for what is ready, until look_at. Empty while dead rows are few.';

CREATE TABLE l2s.worker (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    version    text NOT NULL,
    idle       boolean NOT NULL DEFAULT false,
    draining   boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    stopped_at timestamptz,
    load       jsonb
) WITH (fillfactor = 40);
CREATE INDEX worker_idle ON l2s.worker (id) WHERE idle;
COMMENT ON TABLE l2s.worker IS 'One row for each worker process that ever started.';
COMMENT ON COLUMN l2s.worker.idle IS 'Waiting for work: l2s.enqueue notifies only while somebody is.';
COMMENT ON COLUMN l2s.worker.load IS
'lanes and lanes_busy (of them, since the heartbeat before), documents held, prepared, handoff and
handoff_capacity, decoding, batch_fill (documents per pass of the encoder since that heartbeat).';

-- Only the key is indexed, and half of each page stays free, so that a heartbeat is a HOT update.
-- A lease lists its documents, so that the queue needs no index by lease: half of what claims would
-- write to indexes. What its documents took together is added up as they are written.
CREATE TABLE l2s.lease (
    id           bigint PRIMARY KEY,
    worker_id    bigint NOT NULL,
    encoder      integer NOT NULL,
    length_class smallint NOT NULL,
    documents    integer NOT NULL,
    held         bigint[] NOT NULL,
    claimed_at   timestamptz NOT NULL,
    duration     interval NOT NULL,
    expires_at   timestamptz NOT NULL,
    succeeded    integer NOT NULL DEFAULT 0,
    retried      integer NOT NULL DEFAULT 0,
    failed       integer NOT NULL DEFAULT 0,
    cancelled    integer NOT NULL DEFAULT 0,
    tokens_in    bigint  NOT NULL DEFAULT 0,
    tokens_out   bigint  NOT NULL DEFAULT 0,
    tokenize_ms  real    NOT NULL DEFAULT 0,
    encode_ms    real    NOT NULL DEFAULT 0,
    handoff_ms   real    NOT NULL DEFAULT 0,
    decode_ms    real    NOT NULL DEFAULT 0
) WITH (
    fillfactor = 40,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE l2s.lease IS
    'One row for each batch in flight. Its id is the token that every write of the batch must prove.';
COMMENT ON COLUMN l2s.lease.held IS 'The documents that it holds.';

CREATE TABLE l2s.batch (
    lease_id     bigint PRIMARY KEY,
    worker_id    bigint NOT NULL,
    encoder      integer NOT NULL,
    length_class smallint NOT NULL,
    documents    integer NOT NULL,
    claimed_at   timestamptz NOT NULL,
    closed_at    timestamptz NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('finished', 'released', 'expired')),
    succeeded    integer NOT NULL,
    retried      integer NOT NULL,
    failed       integer NOT NULL,
    cancelled    integer NOT NULL,
    tokens_in    bigint NOT NULL,
    tokens_out   bigint NOT NULL,
    tokenize_ms  real NOT NULL,
    encode_ms    real NOT NULL,
    handoff_ms   real NOT NULL,
    decode_ms    real NOT NULL
);
COMMENT ON TABLE l2s.batch IS 'The leases of the past.';
COMMENT ON COLUMN l2s.batch.succeeded IS
    'With retried, failed and cancelled: what was written; what is left of documents went back.';
COMMENT ON COLUMN l2s.batch.tokenize_ms IS 'Sum over its documents.';
COMMENT ON COLUMN l2s.batch.encode_ms IS 'Its documents'' share of the encoder''s passes: sums count a pass once.';
COMMENT ON COLUMN l2s.batch.handoff_ms IS 'Of the document that waited longest.';
COMMENT ON COLUMN l2s.batch.decode_ms IS 'Of the document that was written longest.';

-- A document that was cancelled while it waited had no lease, so it has no worker and no times.
CREATE TABLE l2s.result (
    document_id   bigint PRIMARY KEY,
    job_type      integer NOT NULL,
    group_id      bigint,
    written_in    bigint NOT NULL DEFAULT 0,
    lease_id      bigint,
    worker_id     bigint,
    succeeded     boolean NOT NULL,
    cancelled     boolean NOT NULL DEFAULT false,
    attempt       integer NOT NULL,
    claimed_at    timestamptz,
    finished_at   timestamptz NOT NULL,
    output        text COMPRESSION lz4,
    error         text,
    mode          text,
    model         text,
    tokens_in     integer,
    tokens_out    integer,
    batch_size    integer,
    shared        boolean,
    parts         integer,
    truncated     boolean,
    cut_off       integer,
    agreement     real,
    queue_ms      real,
    tokenize_ms   real,
    batch_wait_ms real,
    encode_ms     real,
    handoff_ms    real,
    decode_ms     real,
    writeback_ms  real,
    CHECK (succeeded = (output IS NOT NULL)),
    CHECK (succeeded = (error IS NULL))
) PARTITION BY RANGE (document_id);
COMMENT ON TABLE l2s.result IS
    'What became of each finished document; written once, but for `agreement` never updated.';
COMMENT ON COLUMN l2s.result.written_in IS
    'The order of l2s.completed: the transaction that wrote it, in the epoch of l2s.cluster.';
COMMENT ON COLUMN l2s.result.cancelled IS 'Then it did not succeed either.';
COMMENT ON COLUMN l2s.result.agreement IS
    'ROUGE-L between the output and the large model''s own, 0 to 1; null where it wrote none.';
COMMENT ON COLUMN l2s.result.batch_size IS
    'Prompts in the encoder''s batch; 0 where its time counts for another document, or none ran.';
COMMENT ON COLUMN l2s.result.shared IS
    'Another document with the same prompt was read at that time: the reading counts for that one.';
COMMENT ON COLUMN l2s.result.encode_ms IS
    'Of the whole encoder batch, the same for each of its documents: divide by batch_size before summing.';
CREATE INDEX result_stream ON l2s.result (written_in, document_id);
CREATE INDEX result_group ON l2s.result (group_id, written_in, document_id)
    INCLUDE (succeeded, cancelled)
    WHERE group_id IS NOT NULL;
-- Results are written in the order of their times, so a block range index finds those of the last
-- minutes, and costs an insert next to nothing.
CREATE INDEX result_finished ON l2s.result USING brin (finished_at)
    WITH (pages_per_range = 16, autosummarize = on);
-- Dead letters are few.
CREATE INDEX result_dead ON l2s.result (finished_at) WHERE NOT succeeded AND NOT cancelled;

CREATE TABLE l2s.attempt_error (
    document_id   bigint NOT NULL,
    attempt       integer NOT NULL,
    lease_id      bigint NOT NULL,
    worker_id     bigint NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('failed', 'rejected', 'crashed')),
    claimed_at    timestamptz NOT NULL,
    failed_at     timestamptz NOT NULL,
    reason        text NOT NULL,
    mode          text,
    model         text,
    tokens_in     integer,
    tokens_out    integer,
    batch_size    integer,
    queue_ms      real,
    tokenize_ms   real,
    batch_wait_ms real,
    encode_ms     real,
    handoff_ms    real,
    decode_ms     real,
    writeback_ms  real,
    PRIMARY KEY (document_id, attempt)
) PARTITION BY RANGE (document_id);
COMMENT ON TABLE l2s.attempt_error IS 'Every attempt that went wrong, those before a success too.';

CREATE TABLE l2s.part (
    number    integer PRIMARY KEY,
    first_id  bigint NOT NULL,
    after_id  bigint NOT NULL,
    opened_at timestamptz,
    closed_at timestamptz,
    CHECK (first_id < after_id)
);
COMMENT ON TABLE l2s.part IS
'The parts that document, result and attempt_error are made of: each holds the ids from first_id to
before after_id, and those of a time, because a new one is begun after setting.part_every.';

CREATE TABLE l2s.chore (
    name text COLLATE "C" PRIMARY KEY,
    at   timestamptz NOT NULL
);
INSERT INTO l2s.chore VALUES ('groups', '-infinity'), ('maintain', '-infinity');
COMMENT ON TABLE l2s.chore IS 'What one worker does for all, and when one did it last.';

-- Functions that take turns with others look again after they have waited for a lock. At any level but
-- READ COMMITTED they would see what was there when their transaction began.
CREATE FUNCTION l2s.demand_read_committed() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'expected isolation level read committed, got %',
            current_setting('transaction_isolation') USING
            ERRCODE = 'invalid_transaction_state',
            HINT = 'Begin the transaction with BEGIN ISOLATION LEVEL READ COMMITTED, or set '
                'default_transaction_isolation to it for the role that calls this.';
    END IF;
END $$;
