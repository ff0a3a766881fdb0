import Checkpoints
import Inference
import Jobs
import Pipeline
import Settings
import TestSupport
import Testing

@testable import Training

/// Tiny models and pairs in a folder of one test's own.
struct TinyModels {
    let scratch: ScratchFolder

    /// - Parameter golden: the golden whose LLM (and SLM) it holds.
    init(_ golden: String) throws {
        scratch = try ScratchFolder()
        try scratch.copy(fixture: "golden/\(golden)/llm")
        if golden.hasPrefix("hybrid") { try scratch.copy(fixture: "golden/\(golden)/slm") }
    }

    var path: String { scratch.path }

    func llm() throws -> ModelFolder { try ModelFolder(path: path + "/llm") }

    func recipe(_ more: String) throws -> TrainingRecipe {
        try TrainingRecipe(
            parsing: """
                output: trained
                prompt: "{document}"
                data: {train: train.jsonl, validation: valid.jsonl}
                length: {steps: 1}

                """ + more, file: "recipe.yaml")
    }

    func start(_ recipe: TrainingRecipe) throws -> StartingModel {
        try StartingModel(
            recipe, llm: recipe.llm == nil ? nil : llm(), modelsFolder: path)
    }

    /// Writes what `start` holds, untrained.
    func write(_ start: StartingModel, _ recipe: TrainingRecipe) throws {
        try SLMFolder.write(
            start, trained: start.tensors + start.additions, recipe: recipe,
            fingerprint: recipe.llm == nil ? nil : llm().fingerprint, outputTokens: [],
            to: path + "/" + recipe.output)
    }

    func jobType(_ mode: JobType.Mode, slm: String?) throws -> JobType {
        let prompt = try #require(PromptTemplate("{document}"))
        return JobType(
            name: mode.rawValue, mode: mode, llm: mode == .slm ? nil : "llm", slm: slm,
            dtype: .float32, prompt: prompt,
            limits: JobType.Limits(
                documentBytes: 100_000, sourceTokens: 480, newTokens: 24, minimumNewTokens: 0,
                overflow: .fail),
            batch: JobType.BatchLimits(documents: 8, paddedTokens: 4096, wait: .zero),
            retry: JobType.RetryPolicy(
                maximumAttempts: 1, backoff: .zero, maximumBackoff: .zero), timeout: .seconds(600))
    }

    /// The tokens that a worker would write, in the order of the documents.
    func outputs(of jobType: JobType, _ documents: [String]) async throws -> [[Int32]] {
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: [jobType], modelsFolder: path),
            settings: PipelineSettings(
                threads: 1, decoders: 1, decoderRows: 8, handoffCapacity: 8,
                promptCacheBytes: 64_000_000))
        defer { pipeline.stop() }
        let sources = documents.enumerated().map {
            SourceDocument(id: Int64($0), jobType: jobType.name, text: $1)
        }
        let (variable, continuation) = AsyncStream.makeStream(of: FinishedDocument.self)
        pipeline.submit(sources) { continuation.yield($0) }
        var tokens = [[Int32]](repeating: [], count: documents.count)
        var finished = variable.makeAsyncIterator()
        for _ in documents {
            guard let document = await finished.next() else { break }
            if case .succeeded(_, let ids) = document.outcome { tokens[Int(document.id)] = ids }
        }
        return tokens
    }
}

/// Texts of the goldens that the engine takes.
func goldenDocuments(_ name: String) throws -> [String] {
    try Golden.load(name).cases.map(\.document).filter { !$0.allSatisfy(\.isWhitespace) }
}
