internal import Foundation
package import Jobs
package import Pipeline

/// The engine as a worker has it, without a queue.
package final class EngineRun: Sendable {
    package struct Tokens: Encodable {
        package var read = 0
        package var written = 0

        package init() {}
    }

    private let pipeline: Pipeline

    /// - Throws: `ModelLibraryError`.
    package init(
        _ jobTypes: [JobType], modelsFolder: String, settings: PipelineSettings
    ) throws {
        pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: jobTypes, modelsFolder: modelsFolder),
            settings: settings)
    }

    deinit { pipeline.stop() }

    /// The results of a run.
    package struct Run {
        /// Measured from when the first document is handed over until the last is done.
        package var documentsPerSecond = 0.0
        package var tokens = Tokens()
        /// Time of all threads in the encoder and in decoders.
        package var reading = Duration.zero
        package var writing = Duration.zero
    }

    /// - Throws: `FailedDocuments` when one fails.
    package func run(_ documents: [SourceDocument]) async throws -> Run {
        guard !documents.isEmpty else { return Run() }
        let (finished, report) = AsyncStream.makeStream(of: FinishedDocument.self)
        let clock = ContinuousClock()
        let start = clock.now
        let pipeline = pipeline
        let before = pipeline.statistics
        let feeding = Task {
            var rest = documents[...]
            while !rest.isEmpty {
                let room = await pipeline.waitForRoom()
                guard room > 0 else { return }
                let next = Array(rest.prefix(room))
                rest.removeFirst(next.count)
                pipeline.submit(next) { report.yield($0) }
            }
        }
        defer { feeding.cancel() }
        var run = Run()
        var left = documents.count
        for await document in finished {
            guard case .succeeded = document.outcome else {
                throw FailedDocuments(
                    description: "document \(document.id + 1) of a run: \(document.outcome)")
            }
            run.tokens.read += document.measurements.tokensIn
            run.tokens.written += document.measurements.tokensOut
            left -= 1
            if left == 0 { break }
        }
        run.documentsPerSecond =
            Double(documents.count) / (start.duration(to: clock.now) / .seconds(1))
        let after = pipeline.statistics
        run.reading = after.encoding - before.encoding
        run.writing = after.decodingTime - before.decodingTime
        return run
    }
}
