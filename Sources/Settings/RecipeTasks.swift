import Yams

/// The fields of one task among the `tasks` of a recipe.
enum TaskFields {
    static let train = Field(
        "train", .dataFile, "Training pairs: JSON Lines of a source and a target each.")
    static let validation = Field(
        "validation", .dataFile, "Pairs like these that are not trained on.")
    static let share = Field(
        "share", .number(0.001...1000), fallback: "1",
        "Of the pairs of a pass over the data, in proportion to the other tasks'.")
    static let decoderPrompt = Field(
        "decoder_prompt", .cue,
        "What the decoder is given before it writes: that of the job type to come.")

    static let all = [train.about, validation.about, share.about, decoderPrompt.about]
}

extension Quantity<String> {
    fileprivate static let cue = Quantity(expected: "a text of 1 to 1000 bytes") {
        (1...1000).contains($0.utf8.count) ? $0 : nil
    }
}

/// The part of a recipe whose keys are the user's own: `tasks`, by name.
struct RecipeTasks {
    /// Nil where the recipe has no `tasks`.
    let all: [TrainingRecipe.Task]?
    /// What is left of the recipe.
    let rest: Node

    private static let key = "tasks"

    /// - Throws: everything that is wrong with the tasks.
    init(_ root: Node, file: String) throws(Refusals) {
        guard case .mapping(let mapping) = root,
            let (key, value) = mapping.first(where: { $0.key.scalar?.string == Self.key })
        else {
            (all, rest) = (nil, root)
            return
        }
        rest = .mapping(
            Node.Mapping(
                mapping.filter { $0.key.scalar?.string != Self.key }.map { ($0.key, $0.value) }))
        guard case .mapping(let tasks) = value, !tasks.isEmpty else {
            throw Refusals([
                Refusal(
                    file: file, line: key.mark?.line, field: Self.key,
                    expected: "tasks by name, each with train and validation",
                    found: "something else")
            ])
        }
        var found: [TrainingRecipe.Task] = []
        var refusals: [Refusal] = []
        for (name, fields) in tasks {
            var reader = FieldReader(file: file, fields: TaskFields.all)
            reader.scan(fields)
            let train = reader.value(TaskFields.train)
            let validation = reader.value(TaskFields.validation)
            let share = reader.value(TaskFields.share)
            let cue = reader.optional(TaskFields.decoderPrompt)
            if let train, let validation, let share {
                found.append(
                    TrainingRecipe.Task(
                        name: name.scalar?.string ?? "", train: train, validation: validation,
                        share: share, decoderPrompt: cue))
            }
            refusals += reader.refusals.map { refusal in
                var refusal = refusal
                let task = name.scalar?.string ?? ""
                refusal.field = "\(Self.key).\(task).\(refusal.field)"
                return refusal
            }
        }
        guard refusals.isEmpty else { throw Refusals(refusals) }
        all = found
    }
}

extension FieldReader {
    mutating func adapter(
        _ architecture: TrainingRecipe.Architecture?
    ) -> TrainingRecipe.Adapter? {
        let rank = value(RecipeFields.rank)
        let alpha = value(RecipeFields.alpha)
        let isRankStabilized = value(RecipeFields.rankStabilized)
        let targets = value(RecipeFields.targets)
        guard architecture?.isAdapter == true else {
            let rule = "architecture is adapter or llm_layers"
            refuseIfGiven(RecipeFields.rank, unless: rule)
            refuseIfGiven(RecipeFields.alpha, unless: rule)
            refuseIfGiven(RecipeFields.rankStabilized, unless: rule)
            refuseIfGiven(RecipeFields.targets, unless: rule)
            refuseIfGiven(RecipeFields.startAdapter, unless: rule)
            return nil
        }
        guard let rank, let alpha, let isRankStabilized, let targets else { return nil }
        return TrainingRecipe.Adapter(
            rank: rank, alpha: alpha, isRankStabilized: isRankStabilized, targets: targets)
    }

    /// Fields that only some architectures go with.
    mutating func refuseWhatAdaptersLack(
        _ architecture: TrainingRecipe.Architecture?, hasTasks: Bool, start: TrainingRecipe.Start?
    ) {
        if hasTasks {
            refuseIfGiven(RecipeFields.train, unless: "tasks is left out")
            refuseIfGiven(RecipeFields.validation, unless: "tasks is left out")
            if let architecture, !architecture.isAdapter {
                refuse(
                    RecipeFields.architecture,
                    expected: "adapter or llm_layers in a recipe with tasks",
                    found: architecture.rawValue)
            }
        }
        if architecture != .llmLayers {
            refuseIfGiven(RecipeFields.distillation, unless: "architecture is llm_layers")
            refuseIfGiven(RecipeFields.llmAdapter, unless: "architecture is llm_layers")
        } else if case .llmLayers = start {
        } else {
            refuse(RecipeFields.llmLayers, expected: "given for llm_layers", found: nil)
        }
        guard let architecture, architecture.isAdapter else { return }
        let rule = "architecture is another than \(architecture.rawValue)"
        refuseIfGiven(RecipeFields.checkpoint, unless: rule)
        refuseIfGiven(RecipeFields.tokenizer, unless: rule)
        refuseIfGiven(RecipeFields.projector, unless: rule)
        refuseIfGiven(RecipeFields.dropout, unless: rule)
        refuseIfGiven(RecipeFields.cache, unless: rule)
    }
}
