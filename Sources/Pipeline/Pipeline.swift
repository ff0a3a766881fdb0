internal import Foundation
internal import Inference
package import Jobs

/// Sizes of a pipeline. Memory for documents in flight grows with all of them but `threads`.
package struct PipelineSettings: Sendable {
    /// Compute lanes. More than cores only makes them wait for each other.
    package var threads: Int
    /// Decoders per writing model, over one copy of its weights.
    package var decoders: Int
    /// Rows that one decoder writes at a time: a document takes one, or one per beam. One with
    /// more beams than this is written alone.
    package var decoderRows: Int
    /// Documents that may wait between encoder and decoders.
    package var handoffCapacity: Int
    /// Bytes of prompts' states that are kept for when a prompt comes again; 0 for none.
    package var promptCacheBytes: Int
    /// Each lane stays on a core of its own, where the system permits that.
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
/// Lanes are threads of their own: the cooperative pool must not block, and forward passes take
/// longer than it should wait. Each lane takes whatever the schedule finds most useful.
package final class Pipeline: DocumentProcessor {
    private let engine: Engine

    package init(library: ModelLibrary, settings: PipelineSettings) {
        engine = Engine(library: library, settings: settings)
        engine.start(lanes: settings.threads, pinned: settings.pinsThreads)
    }

    deinit { engine.stop() }

    /// Ends the lanes after what they are at; documents in flight are not delivered. Not to be
    /// called from a `deliver`.
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
