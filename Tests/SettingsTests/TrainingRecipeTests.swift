import Jobs
import TestSupport
import Testing

@testable import Settings

private let smallest = """
    llm: llm
    output: slm
    prompt: "summarize: {document}"
    data:
      train: train.jsonl
      validation: valid.jsonl
    length:
      steps: 100
    """

private func read(_ more: String) throws -> TrainingRecipe {
    try TrainingRecipe(parsing: smallest + "\n" + more, file: "a.yaml")
}

private func refusals(_ text: String) -> [String] {
    do {
        _ = try TrainingRecipe(parsing: text, file: "a.yaml")
        return []
    } catch {
        return error.all.map(\.description)
    }
}

@Suite struct TrainingRecipeTests {
    @Test func theSmallestRecipeIsATwoLayerDecoderBehindCrossAttention() throws {
        let recipe = try read("")
        #expect(recipe.llm == "llm")
        #expect(recipe.architecture == .t5Decoder)
        #expect(recipe.fusion == .crossAttention)
        guard case .scratch(let sizes) = recipe.start else {
            Issue.record("started from \(recipe.start)")
            return
        }
        #expect(sizes.layers == 2)
        #expect(sizes.width == 128)
        #expect(recipe.length == .init(steps: 100, epochs: nil, time: nil))
        #expect(recipe.optimizer.schedule == .cosine)
        #expect(recipe.optimizer.clipping == 1)
        #expect(recipe.data.sourceField == "source")
    }

    @Test func startingPointsAreRead() throws {
        #expect(try read("start: {checkpoint: old}").start == .checkpoint("old"))
        #expect(try read("start: {llm_layers: \"0, 2\"}").start == .llmLayers([0, 2]))
    }

    @Test func gpt2AddsToThePromptByDefault() throws {
        let recipe = try read("architecture: gpt2\nprompt_embedding: llm")
        #expect(recipe.fusion == .add)
        #expect(recipe.promptEmbedding == .llm)
    }

    @Test func aWholeT5HasNoLLM() throws {
        let text = smallest.replacing("llm: llm\n", with: "")
        let recipe = try TrainingRecipe(
            parsing: text + "\narchitecture: whole_t5\nstart: {checkpoint: t5}", file: "a.yaml")
        #expect(recipe.llm == nil)
        #expect(recipe.fusion == nil)
    }

    @Test(arguments: [
        ("optimiser: {learning_rate: 1}", "did you mean optimizer?"),
        ("optimizer: {learning_rat: 1}", "did you mean learning_rate?"),
        ("fusion: add", "a.yaml:9: expected fusion to be cross_attention for a t5_decoder"),
        ("architecture: gpt2\nfusion: cross_attention", "expected fusion to be add or replace"),
        ("prompt_embedding: llm", "expected prompt_embedding to be left out unless architecture"),
        (
            "start: {checkpoint: a, llm_layers: \"0\"}",
            "expected start.checkpoint to be left out unless start.llm_layers"
        ),
        ("start: {llm_layers: \"2, 1\"}", "expected start.llm_layers to be whole numbers"),
        ("start: {llm_layers: \"0,\"}", "expected start.llm_layers to be whole numbers"),
        (
            "start: {checkpoint: a}\nsizes: {width: 64}",
            "expected sizes.width to be left out unless start.checkpoint is left out"
        ),
        (
            "architecture: gpt2\nsizes: {width: 100, heads: 3}",
            "expected sizes.width to be a multiple of sizes.heads (3)"
        ),
        ("architecture: whole_t5", "expected llm to be left out unless architecture"),
        ("architecture: whole_gpt2", "expected start.tokenizer to be given for a whole_gpt2"),
        (
            "sizes: {soft_prompt: 8}",
            "expected sizes.soft_prompt to be left out unless architecture"
        ),
        ("start: {frozen: true}", "expected start.frozen to be left out unless start.checkpoint"),
        (
            "start: {checkpoint: slm, frozen: true}",
            "expected sizes.soft_prompt to be given with start.frozen"
        ),
        ("start: {frozen: maybe}", "expected start.frozen to be true or false"),
        ("start: {checkpoint: ../x}", "a folder inside the models folder"),
    ])
    func whatCannotBeIsRefused(_ more: String, _ expected: String) {
        let found = refusals(smallest + "\n" + more)
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    private let adapter = """
        llm: llm
        output: adapter
        prompt: "{document}"
        architecture: adapter
        length: {steps: 1}

        """

    @Test func severalTasksAreReadWithTheirSharesAndCues() throws {
        let recipe = try TrainingRecipe(
            parsing: adapter + """
                adapter: {rank: 4, alpha: 10, targets: "v_proj, q_proj"}
                tasks:
                  short: {train: a.jsonl, validation: b.jsonl, share: 2.5}
                  italian: {train: c.jsonl, validation: d.jsonl, decoder_prompt: "<|x|>It\\n"}
                """, file: "recipe.yaml")
        #expect(recipe.adapter?.scale == 5)
        #expect(recipe.adapter?.targets == ["q_proj", "v_proj"])
        #expect(recipe.data.tasks.map(\.name) == ["short", "italian"])
        #expect(recipe.data.tasks.map(\.share) == [2.5, 1])
        #expect(recipe.data.tasks.map(\.decoderPrompt) == [nil, "<|x|>It\n"])
    }

    @Test(arguments: [
        ("tasks: {}", "expected tasks to be tasks by name"),
        ("tasks: {a: {train: x}}", "expected tasks.a.validation to be"),
        ("tasks: {a: {train: x, validation: y, shares: 1}}", "did you mean share?"),
        (
            "tasks: {a: {train: x, validation: y}}\ndata: {train: z}",
            "expected data.train to be left out unless tasks is left out"
        ),
        ("data: {train: x, validation: y}\nadapter: {targets: q}", "expected adapter.targets"),
        (
            "data: {train: x, validation: y}\nregularization: {dropout: 0.1}",
            "expected regularization.dropout to be left out"
        ),
    ])
    func whatAnAdapterCannotHaveIsRefused(_ more: String, _ expected: String) {
        let found = refusals(adapter + more)
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    @Test func aCutNamesItsLayersAndNothingElseHasAnAdapter() {
        let cut = adapter.replacing("architecture: adapter", with: "architecture: llm_layers")
        let data = "data: {train: x, validation: y}"
        #expect(
            refusals(cut + data).contains { $0.contains("expected start.llm_layers to be given") })
        #expect(refusals(cut + data + "\nstart: {llm_layers: '0, 3'}").isEmpty)
        #expect(
            refusals(smallest + "\nadapter: {rank: 3}").contains {
                $0.contains("expected adapter.rank to be left out unless architecture is adapter")
            })
    }

    @Test func whatIsMissingIsNamed() {
        let found = refusals("llm: llm")
        for field in ["output", "prompt", "data.train", "data.validation", "length.steps"] {
            #expect(found.contains { $0.contains("expected \(field) to be") }, "\(field): \(found)")
        }
        #expect(refusals("").first?.contains("a training recipe") == true)
    }

    @Test func everyDefaultIsWithinItsOwnRange() throws {
        let given = RecipeField.all.filter { $0.defaultText != nil }
        #expect(given.count > 20)
        // A default that its own field refuses would make the field look missing.
        #expect(refusals(smallest).isEmpty)
    }
}

@Suite struct RecipeFileTests {
    private let folder = Fixtures.home + "/recipes"

    @Test(arguments: ["adapter", "writer"])
    func isOfTheLLMThatTheAdapterIsOf(_ name: String) throws {
        let recipe = try TrainingRecipe(
            file: Fixtures.folder + "/../../jobs/recipes/\(name).yaml")
        #expect(
            recipe.llm == "SmolLM2-135M-Instruct" && recipe.prompt == PromptTemplate("{document}"))
        #expect(recipe.data.tasks.allSatisfy { $0.decoderPrompt?.hasSuffix("\n") == true })
        #expect(recipe.llmAdapter == (name == "adapter" ? nil : "smollm2-adapter"))
    }

    @Test(arguments: ["slm-summarize", "slm-it"])
    func isOfTheJobTypeThatItMakesAModelFor(_ name: String) throws {
        let recipe = try TrainingRecipe(file: "\(folder)/\(name).yaml")
        let jobTypes = try loadJobTypes(folder: Fixtures.home + "/jobs")
        let jobType = try #require(jobTypes.first { $0.slm == name && $0.mode == .hybrid })
        #expect(recipe.llm == jobType.llm)
        #expect(recipe.prompt == jobType.prompt)
        #expect(recipe.output != name, "the model in use would be in the way")
    }

    /// A job type of the large model, with the prompt that the small one will be given.
    @Test(arguments: ["summarize", "translate-en-it"])
    func labelsAreOfTheSameTask(_ name: String) throws {
        let jobTypes = try loadJobTypes(folder: Fixtures.home + "/jobs")
        let served = try #require(jobTypes.first { $0.name == name })
        let labels = try #require(
            loadJobTypes(folder: folder + "/labels").first { $0.name == name + "-labels" })
        #expect(labels.mode == .llm && labels.llm == served.llm)
        #expect(labels.prompt == served.prompt)
        #expect(labels.limits == served.limits)
    }

    /// A baseline of `l2s eval` learns the same task from the same labels.
    @Test(arguments: ["alone-", "prompt-tuned-"], ["summarize", "it"])
    func isABaselineOf(kind: String, task: String) throws {
        let hybrid = try TrainingRecipe(file: "\(folder)/slm-\(task).yaml")
        let recipe = try TrainingRecipe(file: "\(folder)/\(kind)\(task).yaml")
        #expect(recipe.output == kind + task)
        #expect(recipe.architecture.readsByItself)
        #expect((recipe.softPrompt > 0) == (kind == "prompt-tuned-"))
        #expect(recipe.prompt == hybrid.prompt)
        #expect(recipe.data.train == hybrid.data.train)
        #expect(recipe.data.targetTokens == hybrid.data.targetTokens)
    }
}
