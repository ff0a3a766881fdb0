internal import Foundation
package import Jobs
package import Pipeline

/// What one variant did with all documents.
package struct VariantRun: Sendable {
    package let variant: Variant
    /// By document; nil where it failed, with the reason in `failures`.
    package var outputs: [String?] = []
    package var failures: [String] = []
    package var measurements: [Measurements] = []
    /// Seconds from the first document's start to the last one's end, summed over all chunks.
    package var seconds = 0.0
    /// Seconds of all lanes together, by stage.
    package var prepare = 0.0
    package var encode = 0.0
    package var decode = 0.0
    /// One document at a time: tokens written, and milliseconds without waiting.
    package var alone: [(tokensOut: Int, milliseconds: Double)] = []

    package init(_ variant: Variant) { self.variant = variant }

    package var tokensIn: Int { measurements.reduce(0) { $0 + $1.tokensIn } }
    package var tokensOut: Int { measurements.reduce(0) { $0 + $1.tokensOut } }
}

/// Puts the same documents through all variants, chunk by chunk in turn, so that other work of the
/// machine affects all of them alike.
package final class EvaluationRun {
    private let pipeline: Pipeline
    private let pairs: [Pair]
    private let fields: [String: String]
    private let chunk: Int
    private let progress: (_ finished: Int) -> Void
    private var finished = 0

    /// - Parameters:
    ///   - fields: the metadata fields of each document.
    ///   - chunk: how many documents one variant gets at a time.
    package init(
        pipeline: Pipeline, pairs: [Pair], fields: [String: String] = [:], chunk: Int,
        progress: @escaping (Int) -> Void
    ) {
        self.pipeline = pipeline
        self.pairs = pairs
        self.fields = fields
        self.chunk = chunk
        self.progress = progress
    }

    /// Touches memory and wakes lanes, so that this does not slow down the first variant alone.
    package func warmUp(_ variants: [Variant]) async {
        for variant in variants { _ = await process(pairs.prefix(8), variant) }
        finished = 0
    }

    package func run(_ variants: [Variant]) async -> [VariantRun] {
        var runs = variants.map { VariantRun($0) }
        for start in stride(from: 0, to: pairs.count, by: chunk) {
            let part = pairs[start..<min(start + chunk, pairs.count)]
            for index in runs.indices { await run(part, &runs[index]) }
        }
        return runs
    }

    private func run(_ part: ArraySlice<Pair>, _ run: inout VariantRun) async {
        let before = pipeline.statistics
        let clock = ContinuousClock()
        let start = clock.now
        let documents = await process(part, run.variant)
        run.seconds += start.duration(to: clock.now) / .seconds(1)
        let after = pipeline.statistics
        run.prepare += (after.preparing - before.preparing) / .seconds(1)
        run.encode += (after.encoding - before.encoding) / .seconds(1)
        run.decode += (after.decodingTime - before.decodingTime) / .seconds(1)
        for document in documents {
            run.measurements.append(document.measurements)
            switch document.outcome {
            case .succeeded(let output, _): run.outputs.append(output)
            case .rejected(let reason), .failed(let reason):
                run.outputs.append(nil)
                run.failures.append(reason)
            }
        }
    }

    /// Processes the first `count` documents, each alone.
    package func runAlone(_ runs: inout [VariantRun], count: Int) async {
        for pair in pairs.prefix(count).indices {
            for index in runs.indices {
                let document = await process(pairs[pair...pair], runs[index].variant)
                let measured = document.first?.measurements ?? Measurements()
                let time =
                    measured.stages.tokenize + measured.stages.encode + measured.stages.handoff
                    + measured.stages.decode
                runs[index].alone.append((measured.tokensOut, time / .milliseconds(1)))
            }
        }
    }

    /// Processes documents, and returns them in their order.
    private func process(_ part: ArraySlice<Pair>, _ variant: Variant) async -> [FinishedDocument] {
        let (stream, continuation) = AsyncStream.makeStream(of: FinishedDocument.self)
        let documents = part.indices.map {
            SourceDocument(
                id: Int64($0), jobType: variant.jobType.name, text: part[$0].source, fields: fields)
        }
        // Documents are handed over as there is room, and taken back as they finish.
        let pipeline = pipeline
        async let submitted: Void = {
            var rest = documents[...]
            while !rest.isEmpty {
                let room = await pipeline.waitForRoom()
                // The task was cancelled, or the pipeline stops.
                guard room > 0 else { return }
                pipeline.submit(Array(rest.prefix(room))) { continuation.yield($0) }
                rest = rest.dropFirst(room)
            }
        }()
        var results: [Int64: FinishedDocument] = [:]
        if !documents.isEmpty {
            for await document in stream {
                results[document.id] = document
                finished += 1
                progress(finished)
                if results.count == documents.count { break }
            }
        }
        await submitted
        return documents.compactMap { results[$0.id] }
    }
}
