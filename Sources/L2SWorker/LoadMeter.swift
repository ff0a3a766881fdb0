internal import Jobs
internal import Pipeline
internal import Synchronization

/// Turns what the pipeline did since its start into what it did since the last `read`.
final class LoadMeter: Sendable {
    private let pipeline: Pipeline
    private let last: Mutex<(time: ContinuousClock.Instant, seen: PipelineStatistics)>

    init(_ pipeline: Pipeline) {
        self.pipeline = pipeline
        last = Mutex((.now, pipeline.statistics))
    }

    func read() -> WorkerLoad {
        let (now, seen) = (ContinuousClock.now, pipeline.statistics)
        let (start, before) = last.withLock { last in
            defer { last = (now, seen) }
            return last
        }
        var load = WorkerLoad()
        load.lanes = seen.lanes
        let lanesTime = start.duration(to: now) * seen.lanes
        if lanesTime > .zero {
            // A pass is counted when it ends, so a long one can exceed the time since the last read.
            load.lanesBusy = min((seen.busy - before.busy) / lanesTime, 1)
        }
        load.documents = seen.documents
        load.prepared = seen.waiting + seen.prepared
        load.handoff = seen.handoff
        load.handoffCapacity = seen.handoffCapacity
        load.decoding = seen.decoding
        let passes = seen.encoderPasses - before.encoderPasses
        if passes > 0 {
            load.batchFill = Double(seen.encodedParts - before.encodedParts) / Double(passes)
        }
        return load
    }
}
