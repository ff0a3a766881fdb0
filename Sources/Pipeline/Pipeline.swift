internal import Foundation
internal import Inference
package import Jobs

/// Sizes of a pipeline. Memory for documents in flight grows with each of them except `threads`.
package struct PipelineSettings: Sendable {
    /// Compute lanes. More lanes than cores only wait for each other.
    package var threads: Int
    /// Replicas of each decoder, over one copy of its weights.
    package var decoders: Int
    /// Rows that one replica writes at a time. A part takes one row, or one for each beam. A part
    /// with more beams than this is written alone.
    package var decoderRows: Int
    /// Parts that may wait between encoder and decoders.
    package var handoffCapacity: Int
    /// Bytes of states that are kept in case a prompt comes again; 0 for none.
    package var promptCacheBytes: Int
    /// Whether each lane stays on a core of its own, where the system permits that.
    package var pinsThreads: Bool

    package init(
        threads: Int, decoders: Int, decoderRows: Int, handoffCapacity: Int,
        promptCacheBytes: Int, pinsThreads: Bool = false
    ) {
        self.threads = threads
        self.decoders = decoders
        self.decoderRows = decoderRows
        self.handoffCapacity = handoffCapacity
        self.promptCacheBytes = promptCacheBytes
        self.pinsThreads = pinsThreads
    }
}

/// Texts → ids → batches → encoder → hand-off → decoders → texts.
///
/// Lanes are threads of their own, because a forward pass would block Swift's cooperative pool for
/// too long. Each lane does what the schedule finds most useful.
package final class Pipeline: DocumentProcessor {
    private let engine: Engine

    package init(library: ModelLibrary, settings: PipelineSettings) {
        engine = Engine(library: library, settings: settings)
        engine.start(lanes: settings.threads, pinned: settings.pinsThreads)
    }

    deinit { engine.stop() }

    /// Ends each lane after its current work. Documents in flight are not delivered. Do not call it
    /// from `deliver`.
    package func stop() { engine.stop() }

    package var statistics: PipelineStatistics { engine.statistics }

    package func submit(
        _ documents: [SourceDocument], deliver: @escaping @Sendable (FinishedDocument) -> Void
    ) {
        engine.submit(documents, deliver: deliver)
    }

    package func withdraw(_ ids: Set<Int64>) -> Set<Int64> { engine.withdraw(ids) }

    /// Returns 0 when its task is cancelled.
    package func waitForRoom() async -> Int {
        let id = UUID()
        defer { engine.forgetWaiter(id) }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                engine.answer { $0.wait(id, continuation) }
            }
        } onCancel: {
            engine.answer { $0.cancel(id) }
        }
    }
}
