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

        let architecture = reader.value(RecipeFields.architecture)
        let llm = reader.llm(architecture)
        let output = reader.value(RecipeFields.output)
        let prompt = reader.value(RecipeFields.prompt)
        let fusion = reader.fusion(architecture)
        let promptEmbedding = reader.promptEmbedding(architecture, fusion: fusion)
        let start = reader.start(architecture)
        let stored = reader.value(RecipeFields.stored)
        let tokenizer = reader.optional(RecipeFields.tokenizer)
        let projectorWidth = reader.projectorWidth(architecture)
        let softPrompt = reader.softPrompt(architecture)
        let frozen = reader.frozen(softPrompt: softPrompt)
        let adapter = reader.adapter(architecture)
        let llmAdapter = reader.optional(RecipeFields.llmAdapter)
        let startAdapter = reader.optional(RecipeFields.startAdapter)
        let precision = reader.value(RecipeFields.precision)
        let data = reader.data(tasks.all)
        let batchTokens = reader.value(RecipeFields.batchTokens)
        let accumulation = reader.value(RecipeFields.accumulation)
        let length = reader.length()
        let optimizer = reader.optimizer()
        let labelSmoothing = reader.value(RecipeFields.labelSmoothing)
        let distillation = reader.value(RecipeFields.distillation)
        let dropout = reader.value(RecipeFields.dropout)
        let seed = reader.value(RecipeFields.seed)
        let interval = reader.value(RecipeFields.interval)
        let patience = reader.optional(RecipeFields.patience)
        let threads = reader.optional(RecipeFields.threads)

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
    private static let hasLLM = "architecture is another than whole_t5 and whole_gpt2"

    fileprivate mutating func llm(_ architecture: TrainingRecipe.Architecture?) -> String? {
        guard architecture?.readsByItself == true else { return value(RecipeFields.llm) }
        refuseIfGiven(RecipeFields.llm, unless: Self.hasLLM)
        return nil
    }

    fileprivate mutating func fusion(
        _ architecture: TrainingRecipe.Architecture?
    ) -> TrainingRecipe.Fusion? {
        let given = optional(RecipeFields.fusion)
        switch architecture {
        case .t5Decoder:
            if let given, given != .crossAttention {
                refuse(
                    RecipeFields.fusion, expected: "cross_attention for a t5_decoder",
                    found: given.rawValue)
            }
            return .crossAttention
        case .t5, .gpt2:
            if given == .crossAttention {
                refuse(
                    RecipeFields.fusion,
                    expected: "add or replace for an architecture that reads the prompt",
                    found: "cross_attention")
            }
            return given ?? .add
        case .adapter, .llmLayers:
            refuseIfGiven(RecipeFields.fusion, unless: "states are projected")
            return nil
        case .wholeT5, .wholeGPT2, nil:
            refuseIfGiven(RecipeFields.fusion, unless: Self.hasLLM)
            return nil
        }
    }

    fileprivate mutating func promptEmbedding(
        _ architecture: TrainingRecipe.Architecture?, fusion: TrainingRecipe.Fusion?
    ) -> TrainingRecipe.PromptEmbedding {
        let given = optional(RecipeFields.promptEmbedding) ?? .slm
        if architecture != .gpt2 || fusion != .add {
            refuseIfGiven(
                RecipeFields.promptEmbedding, unless: "architecture is gpt2 and fusion is add")
        }
        return given
    }

    fileprivate mutating func start(
        _ architecture: TrainingRecipe.Architecture?
    ) -> TrainingRecipe.Start? {
        let checkpoint = optional(RecipeFields.checkpoint)
        let llmLayers = optional(RecipeFields.llmLayers)
        let sizes = sizes()
        if let llmLayers {
            refuseIfGiven(RecipeFields.checkpoint, unless: "start.llm_layers is left out")
            if architecture != .t5Decoder, architecture != .llmLayers {
                refuseIfGiven(
                    RecipeFields.llmLayers, unless: "architecture is t5_decoder or llm_layers")
            }
            refuseSizes(unless: "start.llm_layers is left out")
            return .llmLayers(llmLayers)
        }
        if let checkpoint {
            refuseSizes(unless: "start.checkpoint is left out")
            return .checkpoint(checkpoint)
        }
        if architecture == .adapter {
            refuseSizes(unless: "architecture is another than adapter")
        }
        if let architecture, architecture.readsByItself, text(of: RecipeFields.tokenizer) == nil {
            refuse(
                RecipeFields.tokenizer,
                expected: "given for a \(architecture.rawValue) of new weights "
                    + "(or start.checkpoint)", found: nil)
        }
        if let architecture, architecture.isGPT2, let sizes, sizes.width % sizes.heads != 0 {
            refuse(
                RecipeFields.width,
                expected: "a multiple of sizes.heads (\(sizes.heads)) for a GPT-2",
                found: "\(sizes.width)")
        }
        return sizes.map { .scratch($0) }
    }

    private mutating func sizes() -> TrainingRecipe.Sizes? {
        let width = value(RecipeFields.width)
        let headWidth = value(RecipeFields.headWidth)
        let heads = value(RecipeFields.heads)
        let feedForward = value(RecipeFields.feedForward)
        let layers = value(RecipeFields.layers)
        let encoderLayers = value(RecipeFields.encoderLayers)
        let positions = value(RecipeFields.positions)
        guard let width, let headWidth, let heads, let feedForward, let layers, let encoderLayers,
            let positions
        else { return nil }
        return TrainingRecipe.Sizes(
            width: width, headWidth: headWidth, heads: heads, feedForward: feedForward,
            layers: layers, encoderLayers: encoderLayers, positions: positions)
    }

    /// Sizes that would not be kept to.
    private mutating func refuseSizes(unless rule: String) {
        for field in [
            RecipeFields.width, RecipeFields.headWidth, RecipeFields.heads,
            RecipeFields.feedForward, RecipeFields.layers, RecipeFields.encoderLayers,
            RecipeFields.positions,
        ] { refuseIfGiven(field, unless: rule) }
    }

    fileprivate mutating func projectorWidth(
        _ architecture: TrainingRecipe.Architecture?
    ) -> Int? {
        if architecture?.readsByItself == true {
            refuseIfGiven(RecipeFields.projector, unless: Self.hasLLM)
        }
        return optional(RecipeFields.projector)
    }

    fileprivate mutating func softPrompt(
        _ architecture: TrainingRecipe.Architecture?
    ) -> Int? {
        if let architecture, !architecture.readsByItself {
            refuseIfGiven(
                RecipeFields.softPrompt, unless: "architecture is whole_t5 or whole_gpt2")
        }
        return optional(RecipeFields.softPrompt)
    }

    fileprivate mutating func frozen(softPrompt: Int?) -> Bool {
        guard value(RecipeFields.frozen) == true else { return false }
        if text(of: RecipeFields.checkpoint) == nil {
            refuseIfGiven(RecipeFields.frozen, unless: "start.checkpoint is given")
        }
        if softPrompt == nil {
            refuse(
                RecipeFields.softPrompt, expected: "given with start.frozen: it alone is trained",
                found: nil)
        }
        return true
    }

    fileprivate mutating func data(_ tasks: [TrainingRecipe.Task]?) -> TrainingRecipe.Data? {
        let tasks = tasks ?? ownTask().map { [$0] }
        let sourceField = value(RecipeFields.sourceField)
        let targetField = value(RecipeFields.targetField)
        let sourceTokens = value(RecipeFields.sourceTokens)
        let targetTokens = value(RecipeFields.targetTokens)
        let cache = optional(RecipeFields.cache)
        guard let tasks, let sourceField, let targetField, let sourceTokens,
            let targetTokens
        else { return nil }
        if sourceField == targetField {
            refuse(
                RecipeFields.targetField, expected: "another than data.source_field",
                found: targetField)
        }
        return TrainingRecipe.Data(
            tasks: tasks, sourceField: sourceField, targetField: targetField,
            sourceTokens: sourceTokens, targetTokens: targetTokens,
            cache: cache)
    }

    private mutating func ownTask() -> TrainingRecipe.Task? {
        let train = value(RecipeFields.train)
        let validation = value(RecipeFields.validation)
        guard let train, let validation else { return nil }
        return TrainingRecipe.Task(
            name: "pairs", train: train, validation: validation, share: 1, decoderPrompt: nil)
    }

    fileprivate mutating func length() -> TrainingRecipe.Length? {
        let steps = optional(RecipeFields.steps)
        let epochs = optional(RecipeFields.epochs)
        let time = optional(RecipeFields.time)
        if text(of: RecipeFields.steps) == nil, text(of: RecipeFields.epochs) == nil,
            text(of: RecipeFields.time) == nil
        {
            refuse(
                RecipeFields.steps, expected: "given, or length.epochs or length.time", found: nil)
        }
        return TrainingRecipe.Length(steps: steps, epochs: epochs, time: time)
    }

    fileprivate mutating func optimizer() -> TrainingRecipe.Optimizer? {
        let learningRate = value(RecipeFields.learningRate)
        let schedule = value(RecipeFields.schedule)
        let warmup = value(RecipeFields.warmup)
        let weightDecay = value(RecipeFields.weightDecay)
        let beta1 = value(RecipeFields.beta1)
        let beta2 = value(RecipeFields.beta2)
        let clipping = value(RecipeFields.clipping)
        guard let learningRate, let schedule, let warmup, let weightDecay, let beta1, let beta2,
            let clipping
        else { return nil }
        return TrainingRecipe.Optimizer(
            learningRate: learningRate, schedule: schedule, warmupSteps: warmup,
            weightDecay: weightDecay, beta1: beta1, beta2: beta2,
            clipping: clipping == 0 ? nil : clipping)
    }
}
