internal import Checkpoints
internal import Inference
internal import Training

/// Times training steps of an SLM on made-up tokens, in sequences of fixed lengths. A peer uses the
/// same ones. The work does not depend on the tokens.
package struct TrainingBenchmark {
    package struct Settings: Sendable {
        package var examples = 64
        package var sourceLength = 48
        package var targetLength = 32
        package var threads = 1
        package var repetitions = 5

        package init() {}
    }

    /// Medians over the repetitions.
    package struct Result: Sendable, Codable {
        package let millisecondsPerStep: Double
        /// Shortest and longest.
        package let spreadMilliseconds: [Double]
        /// Source and target tokens.
        package let tokensPerSecond: Double
        /// The loss of the first step, to compare with a peer's.
        package let firstLoss: Double
    }

    private let settings: Settings
    private let engine: StepEngine
    private let batch: [IndexedExample]

    /// - Parameter readsEachTime: whether the LLM reads the prompts in every step, not just once.
    /// - Throws: `CheckpointError`, `InferenceError`.
    package init(slm path: String, readsEachTime: Bool, settings: Settings) throws {
        self.settings = settings
        let manifest = try SLMManifest(folder: path)
        let folder = try ModelFolder(path: path)
        let projector = try WeightFile(path: path + "/projector.safetensors")
        let model = TrainableModel(
            try Design(slm: folder, manifest: manifest, projector: projector))
        let store = try ParameterStore(
            model.layout,
            tensors: try [folder.weights, projector].flatMap(NamedTensor.all), path: path)
        let encoder = try Encoder(ModelFolder(path: manifest.llmPath))
        let rows = encoder.vocabularyRows
        batch = (0..<settings.examples).map { document in
            func tokens(_ count: Int, salt: Int) -> [Int32] {
                (0..<count).map {
                    Int32(2 + (document * 7_919 + $0 * 31 + salt) % (min(rows, 8_000) - 2))
                }
            }
            return IndexedExample(
                index: document,
                example: TrainingExample(
                    source: tokens(settings.sourceLength, salt: 0),
                    target: tokens(settings.targetLength - 1, salt: 17) + [1]))
        }
        let source: StateSource =
            readsEachTime
            ? .encoder(encoder)
            : .states(
                encoder.encode(
                    batch.map { ($0.example.source, Projector.identity) }, workspace: Workspace()),
                encoder)
        engine = StepEngine(
            model, store, source: source, threads: settings.threads, settings: .init())
    }

    package func run() -> Result {
        let clock = ContinuousClock()
        let first = engine.step([batch], step: 1, rate: 1e-4)
        let times = (0..<settings.repetitions).map { repetition in
            clock.measure { _ = engine.step([batch], step: repetition + 2, rate: 1e-4) }
                / .milliseconds(1)
        }
        let time = median(times)
        return Result(
            millisecondsPerStep: time, spreadMilliseconds: [times.min() ?? 0, times.max() ?? 0],
            tokensPerSecond: Double(first.tokens) / time * 1_000, firstLoss: first.loss)
    }
}
