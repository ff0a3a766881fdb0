import Jobs

extension TrainingRecipe {
    /// Reads the file at `path`.
    ///
    /// - Throws: everything that is wrong with it.
    package init(file path: String) throws(Refusals) {
        try self.init(parsing: text(ofFile: path), file: path)
    }

    /// Reads `text`; `file` is only what refusals call it.
    ///
    /// - Throws: everything that is wrong with the text, except that a syntax error or a repeated
    ///   key hides what follows it.
    package init(parsing text: String, file: String) throws(Refusals) {
        var reader = FieldReader(file: file, fields: RecipeField.all)
        let root = try composeYAML(
            text, file: file, of: "a training recipe (llm, output, prompt, …)")
        let tasks = try RecipeTasks(root, file: file)
        reader.scan(tasks.rest)

        let architecture = reader.value(recipeFields.architecture)
        let llm = reader.llm(architecture)
        let output = reader.value(recipeFields.output)
        let prompt = reader.value(recipeFields.prompt)
        let fusion = reader.fusion(architecture)
        let promptEmbedding = reader.promptEmbedding(architecture, fusion: fusion)
        let start = reader.start(architecture)
        let stored = reader.value(recipeFields.stored)
        let tokenizer = reader.optional(recipeFields.tokenizer)
        let projectorWidth = reader.projectorWidth(architecture)
        let softPrompt = reader.softPrompt(architecture)
        let frozen = reader.frozen(softPrompt: softPrompt)
        let adapter = reader.adapter(architecture)
        let llmAdapter = reader.optional(recipeFields.llmAdapter)
        let startAdapter = reader.optional(recipeFields.startAdapter)
        let precision = reader.value(recipeFields.precision)
        let data = reader.data(tasks.all)
        let batchTokens = reader.value(recipeFields.batchTokens)
        let accumulation = reader.value(recipeFields.accumulation)
        let length = reader.length()
        let optimizer = reader.optimizer()
        let labelSmoothing = reader.value(recipeFields.labelSmoothing)
        let distillation = reader.value(recipeFields.distillation)
        let dropout = reader.value(recipeFields.dropout)
        let seed = reader.value(recipeFields.seed)
        let interval = reader.value(recipeFields.interval)
        let patience = reader.optional(recipeFields.patience)
        let threads = reader.optional(recipeFields.threads)

        reader.refuseWhatAdaptersLack(architecture, hasTasks: tasks.all != nil, start: start)
        guard reader.refusals.isEmpty, let precision, let architecture, let output, let prompt,
            let start,
            let stored,
            let data, let batchTokens, let accumulation, let length, let optimizer,
            let labelSmoothing, let distillation, let dropout, let seed, let interval
        else { throw Refusals(reader.refusals) }
        self.init(
            llm: llm, output: output, prompt: prompt, architecture: architecture, fusion: fusion,
            promptEmbedding: promptEmbedding, start: start, stored: stored, tokenizer: tokenizer,
            projectorWidth: projectorWidth, softPrompt: softPrompt ?? 0, isFrozen: frozen,
            adapter: adapter, llmAdapter: llmAdapter, startAdapter: startAdapter,
            precision: precision, data: data, batchTokens: batchTokens,
            accumulation: accumulation, length: length, optimizer: optimizer,
            labelSmoothing: labelSmoothing, distillation: distillation, dropout: dropout,
            seed: UInt64(seed),
            validationInterval: interval, patience: patience, threads: threads)
    }
}

extension FieldReader {
    private static let hasLLM = "architecture is other than whole_t5 and whole_gpt2"

    fileprivate mutating func llm(_ architecture: TrainingRecipe.Architecture?) -> String? {
        guard architecture?.readsByItself == true else { return value(recipeFields.llm) }
        refuseIfGiven(recipeFields.llm, unless: Self.hasLLM)
        return nil
    }

    fileprivate mutating func fusion(
        _ architecture: TrainingRecipe.Architecture?
    ) -> TrainingRecipe.Fusion? {
        let given = optional(recipeFields.fusion)
        switch architecture {
        case .t5Decoder:
            if let given, given != .crossAttention {
                refuse(
                    recipeFields.fusion, expected: "cross_attention for a t5_decoder",
                    found: given.rawValue)
            }
            return .crossAttention
        case .t5, .gpt2:
            if given == .crossAttention {
                refuse(
                    recipeFields.fusion,
                    expected: "add or replace for an architecture that reads the prompt",
                    found: "cross_attention")
            }
            return given ?? .add
        case .adapter, .llmLayers:
            refuseIfGiven(recipeFields.fusion, unless: "states are projected")
            return nil
        case .wholeT5, .wholeGPT2, nil:
            refuseIfGiven(recipeFields.fusion, unless: Self.hasLLM)
            return nil
        }
    }

    fileprivate mutating func promptEmbedding(
        _ architecture: TrainingRecipe.Architecture?, fusion: TrainingRecipe.Fusion?
    ) -> TrainingRecipe.PromptEmbedding {
        let given = optional(recipeFields.promptEmbedding) ?? .slm
        if architecture != .gpt2 || fusion != .add {
            refuseIfGiven(
                recipeFields.promptEmbedding, unless: "architecture is gpt2 and fusion is add")
        }
        return given
    }

    fileprivate mutating func start(
        _ architecture: TrainingRecipe.Architecture?
    ) -> TrainingRecipe.Start? {
        let checkpoint = optional(recipeFields.checkpoint)
        let llmLayers = optional(recipeFields.llmLayers)
        let sizes = sizes()
        if let llmLayers {
            refuseIfGiven(recipeFields.checkpoint, unless: "start.llm_layers is left out")
            if architecture != .t5Decoder, architecture != .llmLayers {
                refuseIfGiven(
                    recipeFields.llmLayers, unless: "architecture is t5_decoder or llm_layers")
            }
            refuseSizes(unless: "start.llm_layers is left out")
            return .llmLayers(llmLayers)
        }
        if let checkpoint {
            refuseSizes(unless: "start.checkpoint is left out")
            return .checkpoint(checkpoint)
        }
        if architecture == .adapter {
            refuseSizes(unless: "architecture is other than adapter")
        }
        if let architecture, architecture.readsByItself, text(of: recipeFields.tokenizer) == nil {
            refuse(
                recipeFields.tokenizer,
                expected: "given for a \(architecture.rawValue) of new weights "
                    + "(or start.checkpoint)", found: nil)
        }
        if let architecture, architecture.isGPT2, let sizes, sizes.width % sizes.heads != 0 {
            refuse(
                recipeFields.width,
                expected: "a multiple of sizes.heads (\(sizes.heads)) for a GPT-2",
                found: "\(sizes.width)")
        }
        return sizes.map { .scratch($0) }
    }

    private mutating func sizes() -> TrainingRecipe.Sizes? {
        let width = value(recipeFields.width)
        let headWidth = value(recipeFields.headWidth)
        let heads = value(recipeFields.heads)
        let feedForward = value(recipeFields.feedForward)
        let layers = value(recipeFields.layers)
        let encoderLayers = value(recipeFields.encoderLayers)
        let positions = value(recipeFields.positions)
        guard let width, let headWidth, let heads, let feedForward, let layers, let encoderLayers,
            let positions
        else { return nil }
        return TrainingRecipe.Sizes(
            width: width, headWidth: headWidth, heads: heads, feedForward: feedForward,
            layers: layers, encoderLayers: encoderLayers, positions: positions)
    }

    /// Refuses sizes, which have no effect on weights that exist already.
    private mutating func refuseSizes(unless rule: String) {
        for field in [
            recipeFields.width, recipeFields.headWidth, recipeFields.heads,
            recipeFields.feedForward, recipeFields.layers, recipeFields.encoderLayers,
            recipeFields.positions,
        ] { refuseIfGiven(field, unless: rule) }
    }

    fileprivate mutating func projectorWidth(
        _ architecture: TrainingRecipe.Architecture?
    ) -> Int? {
        if architecture?.readsByItself == true {
            refuseIfGiven(recipeFields.projector, unless: Self.hasLLM)
        }
        return optional(recipeFields.projector)
    }

    fileprivate mutating func softPrompt(
        _ architecture: TrainingRecipe.Architecture?
    ) -> Int? {
        if let architecture, !architecture.readsByItself {
            refuseIfGiven(
                recipeFields.softPrompt, unless: "architecture is whole_t5 or whole_gpt2")
        }
        return optional(recipeFields.softPrompt)
    }

    fileprivate mutating func frozen(softPrompt: Int?) -> Bool {
        guard value(recipeFields.frozen) == true else { return false }
        if text(of: recipeFields.checkpoint) == nil {
            refuseIfGiven(recipeFields.frozen, unless: "start.checkpoint is given")
        }
        if softPrompt == nil {
            refuse(
                recipeFields.softPrompt, expected: "given with start.frozen: it alone is trained",
                found: nil)
        }
        return true
    }

    fileprivate mutating func data(_ tasks: [TrainingRecipe.Task]?) -> TrainingRecipe.Data? {
        let tasks = tasks ?? ownTask().map { [$0] }
        let sourceField = value(recipeFields.sourceField)
        let targetField = value(recipeFields.targetField)
        let sourceTokens = value(recipeFields.sourceTokens)
        let targetTokens = value(recipeFields.targetTokens)
        let cache = optional(recipeFields.cache)
        guard let tasks, let sourceField, let targetField, let sourceTokens,
            let targetTokens
        else { return nil }
        if sourceField == targetField {
            refuse(
                recipeFields.targetField, expected: "other than data.source_field",
                found: targetField)
        }
        return TrainingRecipe.Data(
            tasks: tasks, sourceField: sourceField, targetField: targetField,
            sourceTokens: sourceTokens, targetTokens: targetTokens,
            cache: cache)
    }

    private mutating func ownTask() -> TrainingRecipe.Task? {
        let train = value(recipeFields.train)
        let validation = value(recipeFields.validation)
        guard let train, let validation else { return nil }
        return TrainingRecipe.Task(
            name: "pairs", train: train, validation: validation, share: 1, decoderPrompt: nil)
    }

    fileprivate mutating func length() -> TrainingRecipe.Length? {
        let steps = optional(recipeFields.steps)
        let epochs = optional(recipeFields.epochs)
        let time = optional(recipeFields.time)
        if text(of: recipeFields.steps) == nil, text(of: recipeFields.epochs) == nil,
            text(of: recipeFields.time) == nil
        {
            refuse(
                recipeFields.steps, expected: "given, or length.epochs or length.time", found: nil)
        }
        return TrainingRecipe.Length(steps: steps, epochs: epochs, time: time)
    }

    fileprivate mutating func optimizer() -> TrainingRecipe.Optimizer? {
        let learningRate = value(recipeFields.learningRate)
        let schedule = value(recipeFields.schedule)
        let warmup = value(recipeFields.warmup)
        let weightDecay = value(recipeFields.weightDecay)
        let beta1 = value(recipeFields.beta1)
        let beta2 = value(recipeFields.beta2)
        let clipping = value(recipeFields.clipping)
        guard let learningRate, let schedule, let warmup, let weightDecay, let beta1, let beta2,
            let clipping
        else { return nil }
        return TrainingRecipe.Optimizer(
            learningRate: learningRate, schedule: schedule, warmupSteps: warmup,
            weightDecay: weightDecay, beta1: beta1, beta2: beta2,
            clipping: clipping == 0 ? nil : clipping)
    }
}
