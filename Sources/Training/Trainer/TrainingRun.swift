internal import Checkpoints
internal import Foundation
internal import Inference
package import Settings
internal import Tokenizers

/// All of `l2s train`. It takes a recipe and makes a model folder.
package struct TrainingRun {
    private let recipe: TrainingRecipe
    private let output: String
    private let folder: TrainingFolder
    private let llm: (folder: ModelFolder, encoder: Encoder)?
    private let start: Start
    private let model: TrainableModel
    private let train: ExampleReader.Examples
    private let validation: ExampleReader.Examples

    private enum Start {
        case model(StartingModel)
        case adapter(AdapterStart)
    }

    /// Opens and checks everything that the recipe names, and computes nothing yet.
    ///
    /// - Throws: `CheckpointError`, `InferenceError`, `TokenizerError`, `Refusals`.
    package init(_ recipe: TrainingRecipe, modelsFolder: String) throws {
        self.recipe = recipe
        output = modelsFolder + "/" + recipe.output
        try NewFolder.checkFree(output)
        if recipe.architecture.isAdapter, let path = recipe.llm {
            let adapter = try AdapterStart(recipe, llm: path, modelsFolder: modelsFolder)
            start = .adapter(adapter)
            llm = nil
            model = TrainableModel(Design(decoder: .rotary(adapter.shape), projection: nil))
            (train, validation) = try Self.examples(
                recipe, prompts: adapter.tokenizer, outputs: adapter.tokenizer,
                endID: adapter.endID)
            try adapter.check(train.examples + validation.examples)
        } else {
            llm = try recipe.llm.map { try Self.open(ModelCache.locate($0, in: modelsFolder)) }
            let own = try StartingModel(recipe, llm: llm?.folder, modelsFolder: modelsFolder)
            start = .model(own)
            model = TrainableModel(try Design(own, recipe))
            let prompts = try llm.map { try openTokenizer(folder: $0.folder.path) }
            (train, validation) = try Self.examples(
                recipe, prompts: prompts ?? own.tokenizer, outputs: own.tokenizer,
                endID: own.configuration.endID)
        }
        folder = TrainingFolder(
            path: output + ".training",
            identity: Self.identity(recipe, model.layout, train.examples + validation.examples))
        if case .model(let start) = start { try check(start) }
    }

    private static func examples(
        _ recipe: TrainingRecipe, prompts: any Tokenizer, outputs: any Tokenizer, endID: Int32
    ) throws -> (train: ExampleReader.Examples, validation: ExampleReader.Examples) {
        let reader = ExampleReader(
            recipe, promptTokenizer: prompts, outputTokenizer: outputs, endID: endID)
        return (try reader.read(\.train), try reader.read(\.validation))
    }

    /// Refuses examples for which the models have too few positions or no token vectors.
    private func check(_ start: StartingModel) throws {
        let examples = train.examples + validation.examples
        let read = examples.lazy.flatMap(\.source).max() ?? 0
        if let llm, Int(read) >= llm.encoder.vocabularyRows {
            throw InferenceError.tokenOutsideVocabulary(
                path: llm.folder.path, token: read, rows: llm.encoder.vocabularyRows)
        }
        // Behind a projector, the model may look up the prompt's tokens in its own table, too.
        let addend = model.design.projection?.addend ?? .decoder
        let own = max(
            addend == .decoder ? read : 0, examples.lazy.flatMap(\.target).max() ?? 0)
        let rows = start.tensors[0].shape[0]
        guard Int(own) < rows else {
            throw InferenceError.tokenOutsideVocabulary(
                path: start.tokenizerFolder, token: own, rows: rows)
        }
        let longest = examples.map(\.source.count).max() ?? 0
        if let llm, let most = llm.encoder.maximumTokens, longest > most {
            throw InferenceError.wrongModel(
                path: "the recipe",
                expected: "data.source_tokens of at most \(most), the positions of "
                    + llm.folder.path, found: "a prompt of \(longest) tokens")
        }
        if case .gpt2(let gpt2) = start.configuration {
            let longest = examples.map(\.tokens).max() ?? 0
            guard recipe.softPrompt + longest - 1 <= gpt2.positions else {
                throw InferenceError.wrongModel(
                    path: "the recipe",
                    expected: "data.source_tokens and data.target_tokens (and sizes.soft_prompt) "
                        + "that fit the GPT-2's \(gpt2.positions) positions together",
                    found: "a pair of \(longest) tokens")
            }
        }
    }

    /// Trains, from where an earlier run stopped if there was one, and writes the folder.
    ///
    /// - Parameter report: called with what happens. An error that it throws ends the run after a
    ///   checkpoint.
    package func run(_ report: (TrainingEvent) throws -> Void) throws -> Summary {
        let threads = recipe.threads ?? Processors.available.usable
        let lock = try folder.make()
        defer { withExtendedLifetime(lock) {} }
        // Another process may have held the lock until now and have written the folder.
        try NewFolder.checkFree(output)
        let store =
            switch start {
            case .model(let start):
                try ParameterStore(
                    model.layout, tensors: start.tensors + start.additions,
                    path: "the recipe's start")
            case .adapter(let start): try start.store(model.layout)
            }
        try report(.opened(opening(store)))
        let source = try states(threads: threads, report)
        let count = train.examples.count
        let trainer = Trainer(
            recipe,
            engine: StepEngine(
                model, store, source: source, threads: threads, settings: .init(recipe)),
            store: store,
            train: train.examples.enumerated().map(IndexedExample.init),
            validation: validation.examples.enumerated().map {
                IndexedExample(index: count + $0, example: $1)
            }, folder: folder)
        let position = try trainer.run(report)
        try write(store)
        return Summary(
            output: output, steps: position.step, seconds: position.seconds,
            bestLoss: position.bestLoss ?? .nan, bestStep: position.bestStep)
    }

    package struct Summary: Sendable {
        package let output: String
        package let steps: Int
        package let seconds: Double
        package let bestLoss: Double
        package let bestStep: Int
    }

    private func opening(_ store: ParameterStore) -> TrainingEvent.Opening {
        .init(
            pairs: train.examples.count, validationPairs: validation.examples.count,
            truncated: train.truncated + validation.truncated,
            leftOut: train.leftOut + validation.leftOut, trained: store.count)
    }

    private func states(
        threads: Int, _ report: (TrainingEvent) throws -> Void
    ) throws -> StateSource {
        guard let llm else { return .tokens }
        let cache = try StateCache(
            (train.examples + validation.examples).map(\.source), llm: llm.encoder,
            fingerprint: llm.folder.fingerprint,
            folder: recipe.data.cache ?? folder.states, threads: threads
        ) { try report(.states(tokens: $0, of: $1)) }
        return .cache(cache, llm.encoder)
    }

    /// Opens a model whose states another one can learn from.
    private static func open(_ path: String) throws -> (folder: ModelFolder, encoder: Encoder) {
        let folder = try ModelFolder(path: path)
        func refuse(_ expected: String, _ found: String) -> InferenceError {
            .wrongModel(path: path, expected: expected, found: found)
        }
        switch folder.configuration {
        case .t5, .classic: break
        case .gpt2, .rotary, .t5gemma:
            throw refuse(
                "a T5, a translator or a summarizer as the LLM, whose encoder reads",
                folder.configuration.name)
        }
        let encoder = try Encoder(folder)
        guard encoder.softPromptTokens == 0 else {
            throw refuse("an LLM that reads its prompts' tokens alone", SoftPrompt.fileName)
        }
        return (folder, encoder)
    }

    private func write(_ store: ParameterStore) throws {
        let outputTokens = Set(train.examples.lazy.flatMap(\.target))
        switch start {
        case .model(let start):
            try SLMFolder.write(
                start, trained: store.tensors, recipe: recipe,
                fingerprint: llm?.folder.fingerprint, outputTokens: outputTokens, to: output)
        case .adapter(let start):
            try AdapterFolder.write(
                store.tensors, start, recipe: recipe, outputTokens: outputTokens, to: output)
        }
        for (source, name) in [
            (folder.curve, "training.jsonl"), (folder.plot, "training.svg"),
        ] where FileManager.default.fileExists(atPath: source) {
            try FileManager.default.copyItem(atPath: source, toPath: output + "/" + name)
        }
        try folder.remove()
    }

    /// A hash of everything that the weights of a step depend on.
    private static func identity(
        _ recipe: TrainingRecipe, _ layout: ParameterLayout, _ examples: [TrainingExample]
    ) -> String {
        var fingerprint = Fingerprint()
        fingerprint.mix("\(recipe)")
        for parameter in layout.parameters {
            fingerprint.mix("\(parameter.name) \(parameter.shape)")
        }
        for example in examples {
            for tokens in [example.source, example.cue, example.target] {
                fingerprint.mix(UInt64(tokens.count))
                for token in tokens { fingerprint.mix(UInt64(UInt32(bitPattern: token))) }
            }
        }
        return fingerprint.text
    }
}

extension ModelConfiguration {
    fileprivate var endID: Int32 {
        switch self {
        case .t5(let configuration): configuration.endID
        case .gpt2(let configuration): configuration.endID
        case .rotary(let configuration): configuration.endIDs[0]
        case .t5gemma(let configuration): configuration.endIDs[0]
        case .classic(let configuration): configuration.endIDs[0]
        }
    }
}

extension Design {
    fileprivate init(_ start: StartingModel, _ recipe: TrainingRecipe) throws {
        guard let fusion = recipe.fusion else {
            self.init(
                decoder: start.decoder, projection: nil, softPrompt: recipe.softPrompt,
                isDecoderFrozen: recipe.isFrozen)
            return
        }
        let name = "projector.in.weight"
        guard let projector = start.additions.first(where: { $0.name == name })?.shape else {
            throw CheckpointError(
                path: "the recipe's start", problem: .missingTensor(name: name, nearest: []))
        }
        let addend: Projection.Addend =
            switch (fusion, recipe.promptEmbedding) {
            case (.add, .slm): .decoder
            case (.add, .llm): .adapted
            case (.replace, _), (.crossAttention, _): .none
            }
        self.init(
            decoder: start.decoder,
            projection: Projection(
                encoderWidth: projector[1], hiddenWidth: projector[0], addend: addend))
    }
}

extension StepEngine.Settings {
    init(_ recipe: TrainingRecipe) {
        labelSmoothing = Float(recipe.labelSmoothing)
        distillation = Float(recipe.distillation)
        dropout = Float(recipe.dropout)
        seed = recipe.seed
        clipping = recipe.optimizer.clipping.map { Float($0) }
        beta1 = Float(recipe.optimizer.beta1)
        beta2 = Float(recipe.optimizer.beta2)
        weightDecay = Float(recipe.optimizer.weightDecay)
        precision = recipe.precision == .bfloat16 ? .bfloat16 : .float32
    }
}
