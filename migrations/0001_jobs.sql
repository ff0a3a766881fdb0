-- 1: the tables of the queue.
--
-- Why so many: what is hot is apart from what is cold. A document and its result are written once
-- and read once; only the narrow rows of queue and lease change, and they disappear when the work
-- is done, so claims cost the same at ten thousand documents and at ten million. There are no
-- foreign keys on the hot path. document and result are plain tables until retention needs them
-- partitioned; their keys (id) already allow it.

CREATE TABLE l2s.reader (
    id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);
COMMENT ON TABLE l2s.reader IS
    'Models that read documents. Job types of one reader share batches.';

CREATE TABLE l2s.job_type (
    id               integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL UNIQUE,
    reader           integer NOT NULL REFERENCES l2s.reader,
    mode             text NOT NULL,
    llm              text,
    slm              text,
    document_bytes   integer NOT NULL CHECK (document_bytes > 0),
    maximum_attempts integer NOT NULL CHECK (maximum_attempts > 0),
    backoff          interval NOT NULL,
    maximum_backoff  interval NOT NULL,
    paused           boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE l2s.job_type IS
    'What can be done to a document; written from jobs/*.yaml by l2s migrate and by each worker''s start.';
COMMENT ON COLUMN l2s.job_type.paused IS
    'True: no worker takes further documents of this type. Set it by UPDATE.';
COMMENT ON COLUMN l2s.job_type.document_bytes IS
    'l2s.enqueue refuses a text of more bytes.';

CREATE SEQUENCE l2s.document_id AS bigint;

CREATE TABLE l2s.document (
    id          bigint PRIMARY KEY DEFAULT nextval('l2s.document_id'),
    job_type    integer NOT NULL,
    priority    smallint NOT NULL,
    run_at      timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL,
    body        text COMPRESSION lz4 NOT NULL,
    dedupe_key  text,
    metadata    jsonb
);
COMMENT ON TABLE l2s.document IS 'Every document ever enqueued; never updated.';

CREATE TABLE l2s.dedupe (
    job_type    integer NOT NULL,
    key         text NOT NULL,
    document_id bigint NOT NULL,
    PRIMARY KEY (job_type, key)
);
COMMENT ON TABLE l2s.dedupe IS
    'Deduplication keys, apart from document because a unique key cannot span partitions.';

-- One row per document that is not finished. About 90 bytes, all of it fixed width.
CREATE TABLE l2s.queue (
    document_id bigint PRIMARY KEY,
    lease_id    bigint,
    run_at      timestamptz NOT NULL,
    reader      integer NOT NULL,
    job_type    integer NOT NULL,
    tokens      integer NOT NULL,
    claims      integer NOT NULL DEFAULT 0,
    errors      smallint NOT NULL DEFAULT 0,
    crashes     smallint NOT NULL DEFAULT 0,
    rank        smallint NOT NULL,
    lane        smallint NOT NULL,
    state       smallint NOT NULL,
    CHECK (state BETWEEN 0 AND 2),
    CHECK ((state = 1) = (lease_id IS NOT NULL))
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE l2s.queue IS 'The documents that are not finished.';
COMMENT ON COLUMN l2s.queue.state IS '0 ready, 1 leased, 2 delayed';
COMMENT ON COLUMN l2s.queue.run_at IS 'Ready since this moment; for a delayed document, from it on.';
COMMENT ON COLUMN l2s.queue.tokens IS 'Estimate: bytes / 4.';
COMMENT ON COLUMN l2s.queue.claims IS 'How often a worker took it, releases included.';
COMMENT ON COLUMN l2s.queue.errors IS 'Attempts that a worker reported as failed.';
COMMENT ON COLUMN l2s.queue.crashes IS 'Attempts whose worker was never heard of again.';
COMMENT ON COLUMN l2s.queue.rank IS 'Minus the priority, so that one ascending index gives the order.';
COMMENT ON COLUMN l2s.queue.lane IS 'See l2s.lane.';

CREATE INDEX queue_ready ON l2s.queue (reader, lane, rank, document_id) WHERE state = 0;
CREATE INDEX queue_leased ON l2s.queue (lease_id) WHERE state = 1;
CREATE INDEX queue_delayed ON l2s.queue (run_at) WHERE state = 2;

-- Length buckets, so that the documents of a batch are about equally long. Lanes 6 and 7 are for
-- suspects, whose worker crashed: 6 in batches of at most 16, 7 alone.
CREATE FUNCTION l2s.lane(tokens integer) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN tokens <= 128 THEN 0 WHEN tokens <= 256 THEN 1 WHEN tokens <= 512 THEN 2
            WHEN tokens <= 1024 THEN 3 WHEN tokens <= 2048 THEN 4 ELSE 5 END::smallint;

CREATE TABLE l2s.worker (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    version    text NOT NULL,
    idle       boolean NOT NULL DEFAULT false,
    draining   boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    stopped_at timestamptz
) WITH (fillfactor = 40);
CREATE INDEX worker_idle ON l2s.worker (id) WHERE idle;
COMMENT ON TABLE l2s.worker IS 'One row per worker process that ever started.';
COMMENT ON COLUMN l2s.worker.idle IS 'Waiting for work: l2s.enqueue notifies only while somebody is.';

-- Only the key is indexed, and half of each page stays free, so that a heartbeat is a HOT update.
CREATE TABLE l2s.lease (
    id         bigint PRIMARY KEY,
    worker_id  bigint NOT NULL,
    reader     integer NOT NULL,
    lane       smallint NOT NULL,
    documents  integer NOT NULL,
    claimed_at timestamptz NOT NULL,
    duration   interval NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (
    fillfactor = 40,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE l2s.lease IS
    'One row per batch in flight. Its id is the token that every write of the batch must prove.';

CREATE TABLE l2s.batch (
    lease_id   bigint PRIMARY KEY,
    worker_id  bigint NOT NULL,
    reader     integer NOT NULL,
    lane       smallint NOT NULL,
    documents  integer NOT NULL,
    claimed_at timestamptz NOT NULL,
    closed_at  timestamptz NOT NULL,
    outcome    text NOT NULL CHECK (outcome IN ('finished', 'released', 'expired'))
);
COMMENT ON TABLE l2s.batch IS 'The leases of the past.';

CREATE TABLE l2s.result (
    document_id   bigint PRIMARY KEY,
    job_type      integer NOT NULL,
    lease_id      bigint NOT NULL,
    worker_id     bigint NOT NULL,
    succeeded     boolean NOT NULL,
    attempt       integer NOT NULL,
    claimed_at    timestamptz NOT NULL,
    finished_at   timestamptz NOT NULL,
    output        text COMPRESSION lz4,
    error         text,
    mode          text,
    model         text,
    tokens_in     integer,
    tokens_out    integer,
    batch_size    integer,
    parts         integer,
    truncated     boolean,
    queue_ms      real NOT NULL,
    tokenize_ms   real,
    batch_wait_ms real,
    encode_ms     real,
    handoff_ms    real,
    decode_ms     real,
    writeback_ms  real,
    CHECK (succeeded = (output IS NOT NULL)),
    CHECK (succeeded = (error IS NULL))
);
COMMENT ON TABLE l2s.result IS 'What became of each finished document; written once, never updated.';
COMMENT ON COLUMN l2s.result.encode_ms IS
    'Of the whole encoder batch, the same for each of its documents: divide by batch_size before summing.';

CREATE TABLE l2s.attempt_error (
    document_id bigint NOT NULL,
    attempt     integer NOT NULL,
    lease_id    bigint NOT NULL,
    worker_id   bigint NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('failed', 'rejected', 'crashed')),
    failed_at   timestamptz NOT NULL,
    reason      text NOT NULL,
    PRIMARY KEY (document_id, attempt)
);
COMMENT ON TABLE l2s.attempt_error IS 'Every attempt that went wrong, those before a success too.';
