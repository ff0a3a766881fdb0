import Benchmarks
import Evaluation
import Foundation
import Jobs
import Pipeline
import Scoring

/// The models of all variants opened, and the documents put through them.
struct Comparison {
    private let modelsFolder: String
    private let threads: Int
    private let pairs: [Pair]
    private let fields: [String: String]
    private let chunk: Int
    private let machine = Machine()

    /// - Parameter fields: the texts of each document's metadata, by name.
    init(
        modelsFolder: String, threads: Int, pairs: [Pair], fields: [String: String], chunk: Int
    ) {
        self.modelsFolder = modelsFolder
        self.threads = threads
        self.pairs = pairs
        self.fields = fields
        self.chunk = chunk
    }

    /// What became of the variants.
    struct Outcome {
        let runs: [VariantRun]
        let library: ModelLibrary
    }

    /// Gives fallback variants without a threshold the one that sends `share` of these documents to
    /// the LLM.
    func setThresholds(_ variants: inout [Variant], share: Double) async throws {
        for index in variants.indices
        where variants[index].kind == .fallback && variants[index].jobType.fallback == 0 {
            let run = try await self.run([variants[index]], alone: 0, title: "confidence").runs[0]
            let confidences = run.measurements.compactMap(\.confidence).sorted()
            guard !confidences.isEmpty else { continue }
            let place = min(Int(share * Double(confidences.count)), confidences.count - 1)
            variants[index].jobType.fallback = confidences[place]
        }
    }

    func run(_ variants: [Variant], alone: Int, title: String = "evaluation") async throws
        -> Outcome
    {
        let (modelsFolder, threads) = (modelsFolder, threads)
        let types = variants.map(\.jobType)
        let library = try await blocking {
            try ModelLibrary(jobTypes: types, modelsFolder: modelsFolder)
        }
        let rows = types.map(\.batch.documents).max() ?? 32
        let pipeline = Pipeline(
            library: library,
            settings: PipelineSettings(threads: threads, rows: rows, promptCacheBytes: 0))
        defer { pipeline.stop() }
        let total = variants.count * (pairs.count + min(alone, pairs.count))
        let progress = Progress(title, unit: "documents")
        let evaluation = EvaluationRun(
            pipeline: pipeline, pairs: pairs, fields: fields, chunk: chunk
        ) {
            progress.update($0, of: total)
        }
        // Memory is touched, and lanes are awake, before anything is timed.
        await evaluation.warmUp(variants)
        var runs = await evaluation.run(variants)
        await evaluation.runAlone(&runs, count: alone)
        progress.end()
        return Outcome(runs: runs, library: library)
    }

    func report(
        _ outcome: Outcome, jobType: String, leftOut: [String], stems: Bool,
        bootstrap: (resamples: Int, seed: UInt64)
    ) -> EvaluationReport {
        let runs = outcome.runs
        let scores = runs.map { Scores($0.outputs, pairs, stems: stems) }
        let draws = Bootstrap(
            documents: pairs.count, resamples: bootstrap.resamples, seed: bootstrap.seed)
        let rows = zip(runs, scores).map { run, own in
            let documents = Double(max(pairs.count, 1))
            let lengths = (Double(run.tokensIn) / documents, Double(run.tokensOut) / documents)
            return EvaluationReport.Row(
                run, scores: own, baseline: (runs[0], scores[0]),
                cost: outcome.library.stepCosts(
                    of: run.variant.jobType.name, sourceTokens: Int(lengths.0),
                    // The cost of a token in the middle of the output.
                    position: Int(lengths.1 / 2)),
                bootstrap: draws)
        }
        return EvaluationReport(
            jobType: jobType, machine: machine.line, threads: threads, documents: pairs.count,
            dtype: runs[0].variant.jobType.dtype.rawValue, stems: stems, seed: bootstrap.seed,
            resamples: bootstrap.resamples, rows: rows,
            fallback: fallbackCurves(runs, scores), leftOut: leftOut)
    }

    private func fallbackCurves(_ runs: [VariantRun], _ scores: [Scores]) -> [FallbackCurve] {
        func index(_ kind: Variant.Kind) -> Int? { runs.firstIndex { $0.variant.kind == kind } }
        guard let llm = index(.llm), let hybrid = index(.hybrid), let fallback = index(.fallback)
        else { return [] }
        let measured = runs[fallback].measurements
        // A document that failed has no confidence. It counts as certain, since the LLM would not write
        // it either.
        return [
            ("mean token probability", measured.map { $0.confidence ?? 1 }),
            ("least token probability", measured.map { $0.leastConfidence ?? 1 }),
        ].map { name, confidences in
            FallbackCurve(
                measure: name, confidences: confidences, hybrid: scores[hybrid], llm: scores[llm],
                kind: .rougeL)
        }
    }
}
