import Yams

/// The fields of one task among the `tasks` of a recipe.
private struct TaskFields: Sendable {
    let train = Field(
        "train", .dataFile, "Training pairs: JSON Lines of a source and a target each.")
    let validation = Field(
        "validation", .dataFile, "Pairs like these that are not trained on.")
    let share = Field(
        "share", .number(0.001...1000), default: "1",
        "The share of this task's pairs in a pass over the data, in proportion to the other tasks'."
    )
    let decoderPrompt = Field(
        "decoder_prompt", .cue,
        "What the decoder is given before it writes: `decoder_prompt` of the job type that will use it."
    )
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
        let task = TaskFields()
        for (name, fields) in tasks {
            var reader = FieldReader(file: file, fields: [FieldDescription](of: task))
            reader.scan(fields)
            let train = reader.value(task.train)
            let validation = reader.value(task.validation)
            let share = reader.value(task.share)
            let cue = reader.optional(task.decoderPrompt)
            if let train, let validation, let share {
                found.append(
                    TrainingRecipe.Task(
                        name: name.scalar?.string ?? "", train: train, validation: validation,
                        share: share, decoderPrompt: cue))
            }
            refusals += reader.refusals.map { refusal in
                var refusal = refusal
                refusal.field =
                    "\(Self.key).\(name.scalar?.string ?? "").\(refusal.field)"
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
        let rank = value(recipeFields.rank)
        let alpha = value(recipeFields.alpha)
        let isRankStabilized = value(recipeFields.rankStabilized)
        let targets = value(recipeFields.targets)
        guard architecture?.isAdapter == true else {
            let rule = "architecture is adapter or llm_layers"
            refuseIfGiven(recipeFields.rank, unless: rule)
            refuseIfGiven(recipeFields.alpha, unless: rule)
            refuseIfGiven(recipeFields.rankStabilized, unless: rule)
            refuseIfGiven(recipeFields.targets, unless: rule)
            refuseIfGiven(recipeFields.startAdapter, unless: rule)
            return nil
        }
        guard let rank, let alpha, let isRankStabilized, let targets else { return nil }
        return TrainingRecipe.Adapter(
            rank: rank, alpha: alpha, isRankStabilized: isRankStabilized, targets: targets)
    }

    /// Refuses the fields that the architecture has no use for, and what `tasks` rule out.
    mutating func refuseWhatAdaptersLack(
        _ architecture: TrainingRecipe.Architecture?, hasTasks: Bool, start: TrainingRecipe.Start?
    ) {
        if hasTasks {
            refuseIfGiven(recipeFields.train, unless: "tasks is left out")
            refuseIfGiven(recipeFields.validation, unless: "tasks is left out")
            if let architecture, !architecture.isAdapter {
                refuse(
                    recipeFields.architecture,
                    expected: "adapter or llm_layers in a recipe with tasks",
                    found: architecture.rawValue)
            }
        }
        if architecture != .llmLayers {
            refuseIfGiven(recipeFields.distillation, unless: "architecture is llm_layers")
            refuseIfGiven(recipeFields.llmAdapter, unless: "architecture is llm_layers")
        } else if case .llmLayers = start {
        } else {
            refuse(recipeFields.llmLayers, expected: "given for llm_layers", found: nil)
        }
        guard let architecture, architecture.isAdapter else { return }
        let rule = "architecture is other than \(architecture.rawValue)"
        refuseIfGiven(recipeFields.checkpoint, unless: rule)
        refuseIfGiven(recipeFields.tokenizer, unless: rule)
        refuseIfGiven(recipeFields.projector, unless: rule)
        refuseIfGiven(recipeFields.dropout, unless: rule)
        refuseIfGiven(recipeFields.cache, unless: rule)
    }
}
