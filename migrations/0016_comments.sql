-- 16: comments in plain words. They are read in psql and in schema.sql, away from the files that they
-- stood in, and many were hard to understand there. Nothing else changes.

COMMENT ON TABLE l2s.setting IS 'The settings of the whole queue, in one row.';
COMMENT ON COLUMN l2s.setting.producers_apart IS
'If true, a role that is neither l2s_reader nor l2s_admin sees only its own documents, results and groups,
and each role that enqueues has its own dedupe keys and groups, even of the same name. Times are not
hidden: a document finishes sooner if its text was read lately for somebody else.';
COMMENT ON COLUMN l2s.setting.notifies IS
'If false, l2s.enqueue sends no notifications, so that transactions that enqueue can be prepared for
two-phase commit. Idle workers then find documents by polling.';
COMMENT ON COLUMN l2s.setting.keep IS
'How long documents are kept, with all their data, after they are finished. Null keeps them for ever.';
COMMENT ON COLUMN l2s.setting.part_every IS
'How often a new partition is begun. Old documents are dropped one partition at a time.';

COMMENT ON COLUMN l2s.job_type.concurrent_documents IS
'The most documents of this type that workers process at a time. Null for any number.';
COMMENT ON COLUMN l2s.job_type.paused IS
'If true, workers claim no further documents of this type. See l2s.pause.';
COMMENT ON COLUMN l2s.job_type.paused_because IS
'The reason if the job type was paused automatically, else null.';
COMMENT ON COLUMN l2s.job_type.prompt_fields IS
'The fields of metadata that the prompts contain. l2s.enqueue refuses a document that lacks one.';

COMMENT ON TABLE l2s.group_run IS
'The groups of documents. A group is all rows of its name (and of its producer, if setting.producers_apart
is true): it gets a further row when documents are added after it was finished, and when two transactions
begin it at the same time.';

COMMENT ON COLUMN l2s.document.body IS
'Null if the first of its siblings holds the text; see l2s.text_of.';
COMMENT ON COLUMN l2s.document.siblings IS
'The jobs that one call of l2s.enqueue made for one text, this one included, in order. Null if it made
only one. All of them are in the same partition.';

COMMENT ON TABLE l2s.dedupe IS
'Deduplication keys. They have a table of their own, because a unique key cannot span partitions.';
COMMENT ON COLUMN l2s.dedupe.producer IS
'The role that owns the key if setting.producers_apart was true. Empty if the key holds for all roles.';

COMMENT ON COLUMN l2s.queue.run_at IS
'The time since when the document is ready, or from which a delayed one will be.';
COMMENT ON COLUMN l2s.queue.tenant IS
'Hash of the tenant''s name. Tenants with the same hash share their turns.';
COMMENT ON COLUMN l2s.queue.crashes IS 'Attempts whose worker went silent.';
COMMENT ON COLUMN l2s.queue.cancelled IS
'The document will end as cancelled. Its worker learns of it with a heartbeat.';
COMMENT ON COLUMN l2s.queue.siblings IS
'As in l2s.document, finished jobs included. Siblings are claimed together where that is possible.';
COMMENT ON TABLE l2s.turn IS
'How far the queue is, for each job type and rank: the turn of the document that was claimed last.
Written about once a second.';
COMMENT ON TABLE l2s.floor IS
'The place from which claims of a job type look for ready documents until look_at. Empty while there are
few dead rows.';

COMMENT ON COLUMN l2s.worker.load IS
'lanes; lanes_busy: the share of their time in which they computed since the previous heartbeat;
documents: how many the worker holds; prepared: documents, or their parts, that wait for the encoder;
handoff and handoff_capacity: parts that wait for a decoder, and for how many there is room; decoding:
rows in decoders; batch_fill: prompts per pass of the encoder since the previous heartbeat.';

COMMENT ON TABLE l2s.lease IS
'One row for each batch in flight. Its id is the token that every write of the batch must name.';
COMMENT ON TABLE l2s.batch IS 'Closed leases.';
COMMENT ON COLUMN l2s.batch.succeeded IS
'succeeded, retried, failed and cancelled count the documents that were written. The others were given
back or taken back.';
COMMENT ON COLUMN l2s.batch.encode_ms IS
'The time of the encoder''s passes, divided among their documents, so that sums count each pass once.';
COMMENT ON COLUMN l2s.batch.handoff_ms IS 'The time of the document that waited longest for a decoder.';
COMMENT ON COLUMN l2s.batch.decode_ms IS 'The time of the document whose output took longest to write.';

COMMENT ON TABLE l2s.result IS
'The outcome of each finished document. Written once; only agreement is updated later.';
COMMENT ON COLUMN l2s.result.written_in IS
'Gives l2s.completed its order: the number of the transaction that wrote the row, in its epoch (see
l2s.cluster).';
COMMENT ON COLUMN l2s.result.cancelled IS
'Whether the document was cancelled. succeeded is false then.';
COMMENT ON COLUMN l2s.result.agreement IS
'ROUGE-L, 0 to 1, between the output and the large model''s own. Null if the large model wrote none.';
COMMENT ON COLUMN l2s.result.batch_size IS
'Prompts in the encoder''s batch. 0 if its time counts for another document or no encoder ran.';
COMMENT ON COLUMN l2s.result.shared IS
'If true, another document with the same prompt was read at that time. The encoder''s time counts for
that one.';
COMMENT ON COLUMN l2s.result.encode_ms IS
'The time of the whole encoder batch, the same for each of its documents. Divide by batch_size before
summing.';
COMMENT ON TABLE l2s.attempt_error IS
'Every attempt that failed, also if a later one succeeded.';

COMMENT ON TABLE l2s.part IS
'The partitions of document, result and attempt_error. Each holds the ids from first_id up to, but not
including, after_id. Each also covers a span of time, because a new one is begun after
setting.part_every.';
COMMENT ON TABLE l2s.chore IS 'Chores that one worker does for all, and when each was last done.';
COMMENT ON TABLE l2s.salt IS
'A secret number that keeps others from guessing the advisory locks of siblings.';

COMMENT ON FUNCTION l2s.enqueue(
    text[], text, integer, timestamptz, text, jsonb, text, text, boolean) IS
'Puts a document through several job types, 64 at most, and returns the jobs'' ids in the order of the
types. The text is stored once, and read once where that is possible. Each job has its own result, retries
and times, and is cancelled by itself. dedupe_key holds for each job type: a type that already has a job
with this key gets no further one, and the known id is returned. All other arguments are as for one job
type.';
COMMENT ON FUNCTION l2s.enqueue(
    text, text, integer, timestamptz, text, jsonb, text, text, boolean) IS
'Puts a document through a job type and returns the job''s id.
priority: jobs with a greater one are claimed first.
run_at: the job is not claimed before this time.
dedupe_key: if a job of this type and key exists, its id is returned and nothing is enqueued, until
setting.keep is over or the job was cancelled. Enqueue many keys in their order; otherwise two
transactions can deadlock.
metadata: it has at most 8192 bytes and is kept with the job. l2s reads traceparent, the W3C trace context
that the worker''s spans continue, and the fields that the job type''s prompts contain, which are texts of
1 to 1000 bytes.
group: the documents of a group can be watched, waited for and cancelled together. Write "group", because
SQL reserves the word.
tenant: tenants take turns within a priority.
notify: the id is sent on channel l2s_done when the job is finished.
Over a table: SELECT l2s.enqueue(''summarize'', body) FROM articles';

COMMENT ON FUNCTION l2s.cancel IS
'Cancels documents that are not finished, and returns how many. Waiting and delayed ones end at once,
running ones as soon as their worker learns of it; their outputs are dropped.';
COMMENT ON FUNCTION l2s.cancel_group IS
'Cancels the unfinished documents of a group, at most `documents` of them, and returns how many.';
COMMENT ON FUNCTION l2s.pause IS
'Stops claims of a job type, or of all if none is named. Running documents are finished, and documents
can still be enqueued.';
COMMENT ON FUNCTION l2s.retry IS
'Puts dead letters and cancelled documents into the queue again, as if they were new, and returns how
many. l2s.attempts keeps their attempts that failed.';

COMMENT ON FUNCTION l2s.open_groups IS
'The groups that have unfinished documents, at most `groups` of them, the one begun last first. succeeded,
failed and cancelled are as in l2s.groups, but NULL if they are more than a million together. lately
counts the documents that finished in the last minute, without cancelled ones.';
COMMENT ON TABLE l2s.cluster IS
'The server, and the history of its log, in which results were last written. See l2s.adopt_cluster.';
COMMENT ON FUNCTION l2s.completed IS
'Returns at most `documents` finished documents, of a group or of all, in the order of their completion,
beginning after a key. Keep the key of the last row and pass it to the next call. No document is ever left
out.';

COMMENT ON TABLE l2s.tally IS
'Counts of results that l2s.count_finished need not count again. Sum up the rows.';
COMMENT ON TABLE l2s.minute IS
'The rows of l2s.throughput for minutes that are over. Arrays hold the 50th, 95th and 99th percentiles.';
COMMENT ON FUNCTION l2s.count_finished IS
'For each job type, how many of the documents that are kept are finished.';
COMMENT ON FUNCTION l2s.maintain IS
'Creates and drops partitions and counts throughput. Once a minute, the worker that comes first does it.
With true it is done now; call it again while a row says `more`. setting.keep says how long documents are
kept.';

COMMENT ON VIEW l2s.jobs IS
'Every job: its data, its state, its output, and how long each stage took.';
COMMENT ON COLUMN l2s.jobs.priority IS 'Jobs with a greater priority are claimed first.';
COMMENT ON COLUMN l2s.jobs.run_at IS
'The job is not claimed before this time. After a failed attempt, the time of the next one.';
COMMENT ON COLUMN l2s.jobs.error IS
'Why the job failed. For an unfinished job, why its last attempt failed.';
COMMENT ON COLUMN l2s.jobs.queue_ms IS
'From when the job was ready (enqueued, run_at or the time of a retry) until it was claimed. The later
stages sum to the time from claimed_at to finished_at.';
COMMENT ON COLUMN l2s.jobs.batch_wait_ms IS
'Time in the worker, before and after tokenizing, until the encoder took the document up.';
COMMENT ON COLUMN l2s.jobs.encode_ms IS
'The time of the whole encoder batch, the same for each of its documents. Divide by batch_size before
summing.';
COMMENT ON COLUMN l2s.jobs.encode_source IS
'Where the states came from: batch (the encoder ran, and its time counts for this job), shared (another
document with the same prompt was read at that time, and the time counts for that one) or cache (the
prompt had been read before).';
COMMENT ON COLUMN l2s.jobs.siblings IS
'The jobs that were enqueued together for the same text, this one included. Null if there is no other.';
COMMENT ON COLUMN l2s.jobs.handoff_ms IS
'From the end of encoding until a decoder took the document up.';
COMMENT ON COLUMN l2s.jobs.writeback_ms IS
'The rest of the time from claimed_at to finished_at: transfers, the wait for the write, and the write.';
COMMENT ON COLUMN l2s.jobs.truncated IS
'If true, the source was longer than the job type''s limit, so its tail was cut off.';
COMMENT ON COLUMN l2s.jobs.cut_off IS
'Parts whose output was cut off at limits.new_tokens, mostly in the middle of a sentence.';
COMMENT ON COLUMN l2s.jobs.agreement IS
'ROUGE-L, 0 to 1, between the output and the large model''s own. Null if the large model wrote none.';

COMMENT ON VIEW l2s.attempts IS
'Every attempt that ended: succeeded, failed, rejected (no attempt could succeed), crashed (its worker was
not heard of again) or cancelled, with the time of each stage. l2s.jobs explains the columns.';
COMMENT ON VIEW l2s.batches IS
'Every batch that was claimed and is closed: the outcome of its documents and the times of its stages.
l2s.batch explains the columns.';
COMMENT ON VIEW l2s.groups IS
'The progress of each group. Ask for one by name, because counting all groups takes time.';
COMMENT ON VIEW l2s.throughput IS
'Finished documents per minute and job type. Failed ones count, cancelled ones do not. Rates are over the
part of the minute in which documents were in progress. total is the time from ready to finished. Rows
stay when their documents are dropped.';
COMMENT ON COLUMN l2s.throughput.shadowed IS
'For how many of the documents the large model wrote an output, too.';
COMMENT ON COLUMN l2s.throughput.agreement IS
'The mean agreement of these documents: ROUGE-L between both outputs, 0 to 1. It falls when documents
differ from those on which the small model was trained.';

COMMENT ON TABLE l2s.permission IS 'Which functions l2s.grant_roles lets each role call.';
