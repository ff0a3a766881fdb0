-- 5: what makes looking cheap while millions of results lie there.

-- Results are written in the order of their times, so a block range index finds those of the last
-- minutes, and costs an insert next to nothing.
CREATE INDEX result_finished ON l2s.result USING brin (finished_at)
    WITH (pages_per_range = 16, autosummarize = on);
-- Dead letters are few.
CREATE INDEX result_dead ON l2s.result (finished_at) WHERE NOT succeeded;

-- How busy a worker's process is; written with its heartbeat.
ALTER TABLE l2s.worker ADD COLUMN load jsonb;
COMMENT ON COLUMN l2s.worker.load IS
'lanes and lanes_busy (of them, since the heartbeat before), documents held, prepared, handoff and
handoff_capacity, decoding, batch_fill (documents per pass of the encoder since that heartbeat).';
