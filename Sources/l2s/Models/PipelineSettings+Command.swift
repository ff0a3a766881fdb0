import Pipeline
import Settings

extension PipelineSettings {
    /// The settings of a command without a worker: a decoder for each thread, each of `rows` rows.
    init(
        threads: Int, rows: Int = WorkerDefaults.decoderRows,
        promptCacheBytes: Int = WorkerDefaults.promptCacheBytes
    ) {
        self.init(
            threads: threads, decoders: threads, decoderRows: rows,
            handoffCapacity: max(WorkerDefaults.handoffCapacity, rows),
            promptCacheBytes: promptCacheBytes)
    }
}
