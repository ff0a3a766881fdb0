import Jobs

/// The fields of a training recipe, in the order of the documentation.
struct RecipeFields: Sendable {
    let llm = Field(
        "llm", .modelFolder,
        "The frozen large model that reads. Required, except for `whole_t5` and `whole_gpt2`, which "
            + "have none. It must be of the Llama type for `adapter` and `llm_layers`."
    )
    let output = Field(
        "output", .modelFolder,
        "The new folder of what is trained; it appears when training ends.")
    let prompt = Field(
        "prompt", .promptOfPairs,
        "What the LLM reads of a source: the prompt of the job types that will use the model.")
    let architecture = Field(
        "architecture", Quantity<TrainingRecipe.Architecture>.choice(), default: "t5_decoder",
        "A T5 decoder that attends to the projected states, a T5 or GPT-2 that reads them as its "
            + "prompt; a T5 or GPT-2 that reads by itself, without a large model; a low-rank adapter "
            + "of the LLM; or some of the LLM's layers that write upon what it read.")
    let fusion = Field(
        "fusion", Quantity<TrainingRecipe.Fusion>.choice(),
        "How the states enter. Default: cross_attention for t5_decoder, otherwise add.")
    let promptEmbedding = Field(
        "prompt_embedding", Quantity<TrainingRecipe.PromptEmbedding>.choice(),
        "For gpt2: whose embedding of the prompt is added, `slm` where both share a tokenizer. "
            + "Default: slm.")
    let stored = Field(
        "stored", Quantity<TrainingRecipe.StoredFormat>.choice(), default: "float32",
        "How the weights of the output are written; training itself is in float32.")
    let seed = Field(
        "seed", .wholeNumber(0...Int(UInt32.max)), default: "0",
        "The seed of new weights, the order of batches and dropout: the same seed gives the same model."
    )
    let threads = Field(
        "threads", .wholeNumber(1...1024), "Threads that compute. Default: the machine's cores.")
    let precision = Field(
        "precision", Quantity<TrainingRecipe.Precision>.choice(), default: "float32",
        "What the operands of products are rounded to; sums and weights are float32. `bfloat16` is "
            + "used where the processor is faster with it.")
    let rank = Field(
        "adapter.rank", .wholeNumber(1...1024), default: "16",
        "For `adapter` and `llm_layers`: rows of the low-rank matrices.")
    let alpha = Field(
        "adapter.alpha", .number(0.001...10_000), default: "16",
        "The adapter is multiplied by this, divided by the rank or its root.")
    let rankStabilized = Field(
        "adapter.rank_stabilized", .flag, default: "true",
        "Whether alpha is divided by the root of the rank instead of the rank.")
    let targets = Field(
        "adapter.targets", .targets, default: TrainingRecipe.Adapter.all.joined(separator: ", "),
        "The matrices of each layer that the adapter changes.")
    let llmAdapter = Field(
        "start.llm_adapter", .modelFolder,
        "For `llm_layers`: the adapter that the LLM reads with, as `architecture: adapter` writes it."
    )
    let startAdapter = Field(
        "start.adapter", .modelFolder,
        "For `adapter` and `llm_layers`: go on from this adapter, whose rank is at most "
            + "`adapter.rank`, instead of from a new one, which changes nothing.")

    let checkpoint = Field(
        "start.checkpoint", .modelFolder,
        "Start from the weights of this folder, and from its projector, if it has one.")
    let frozen = Field(
        "start.frozen", .flag, default: "false",
        "The checkpoint stays as it is: only the soft prompt is trained (prompt tuning).")
    let llmLayers = Field(
        "start.llm_layers", .layers,
        "Start from these layers of the LLM's own decoder, counted from 0, and its embedding. "
            + "Required for `llm_layers`.")
    let tokenizer = Field(
        "start.tokenizer", .modelFolder,
        "The folder whose tokenizer the outputs have. Default: the checkpoint's, otherwise the LLM's."
    )

    let width = Field(
        "sizes.width", .wholeNumber(8...65_536), default: "128", "d_model of new weights.")
    let headWidth = Field(
        "sizes.head_width", .wholeNumber(1...4096), default: "32",
        "d_kv of a new T5. A GPT-2 divides its width among its heads.")
    let heads = Field(
        "sizes.heads", .wholeNumber(1...1024), default: "4", "Attention heads of a layer.")
    let feedForward = Field(
        "sizes.feed_forward", .wholeNumber(1...1_048_576), default: "384",
        "d_ff of a new T5 (gated gelu), n_inner of a new GPT-2.")
    let layers = Field(
        "sizes.layers", .wholeNumber(1...256), default: "2", "Decoder layers.")
    let encoderLayers = Field(
        "sizes.encoder_layers", .wholeNumber(1...256), default: "2",
        "Encoder layers of a new T5 that has an encoder.")
    let positions = Field(
        "sizes.positions", .wholeNumber(2...1_048_576), default: "1024",
        "The longest prompt and output together of a new GPT-2.")
    let projector = Field(
        "sizes.projector", .wholeNumber(1...65_536),
        "Hidden width of a new projector. Default: the LLM's width (twice that with llm_layers, "
            + "where it starts as the identity).")

    let softPrompt = Field(
        "sizes.soft_prompt", .wholeNumber(1...4096),
        "For `whole_t5` and `whole_gpt2`: learned vectors that are read before every prompt. "
            + "Default: none.")

    let train = Field(
        "data.train", .dataFile,
        "Training pairs: JSON Lines of a source and a target each. Required without `tasks`.")
    let validation = Field(
        "data.validation", .dataFile, "Pairs like these that are not trained on.")
    let sourceField = Field(
        "data.source_field", .fieldName, default: "source", "The JSON field of the source.")
    let targetField = Field(
        "data.target_field", .fieldName, default: "target", "The JSON field of the target.")
    let sourceTokens = Field(
        "data.source_tokens", .wholeNumber(2...32_768), default: "512",
        "A longer prompt is cut off, as by a job type with `overflow: truncate`.")
    let targetTokens = Field(
        "data.target_tokens", .wholeNumber(2...4096), default: "128",
        "A pair with a longer target, its end token included, is left out.")
    let cache = Field(
        "data.cache", .dataFile,
        "Folder of the LLM's states, computed once: two bytes times the LLM's width for every "
            + "source token. Default: beside the output, removed when training ends.")

    let batchTokens = Field(
        "batch.tokens", .wholeNumber(1...1_048_576), default: "4096",
        "Source and target tokens of a batch.")
    let accumulation = Field(
        "batch.accumulation", .wholeNumber(1...4096), default: "1",
        "Batches whose gradients make one step.")

    let steps = Field(
        "length.steps", .wholeNumber(1...100_000_000), "Stop after this many steps.")
    let epochs = Field(
        "length.epochs", .wholeNumber(1...100_000), "Stop after this many passes over the data.")
    let time = Field(
        "length.time", .duration(.seconds(1)...(.seconds(30 * 86_400))),
        "Stop after this time of training. One of the three is required; the first one met counts.")

    let learningRate = Field(
        "optimizer.learning_rate", .number(1e-8...1), default: "0.001", "The highest rate.")
    let schedule = Field(
        "optimizer.schedule", Quantity<TrainingRecipe.Schedule>.choice(), default: "cosine",
        "How the rate falls after the warm-up: as a cosine to 2 % at the end, or by the inverse square "
            + "root of the step."
    )
    let warmup = Field(
        "optimizer.warmup_steps", .wholeNumber(0...10_000_000), default: "200",
        "Steps over which the rate rises from 0.")
    let weightDecay = Field(
        "optimizer.weight_decay", .number(0...1), default: "0.01",
        "The weight decay of AdamW, of matrices only.")
    let beta1 = Field("optimizer.beta1", .number(0...0.9999), default: "0.9", "β₁ of AdamW.")
    let beta2 = Field("optimizer.beta2", .number(0...0.999999), default: "0.98", "β₂ of AdamW.")
    let clipping = Field(
        "optimizer.clipping", .number(0...1_000_000), default: "1",
        "The largest norm of a step's gradient; 0 for any.")
    let labelSmoothing = Field(
        "regularization.label_smoothing", .number(0...0.9), default: "0",
        "The share of the label's probability that is spread over all tokens.")
    let distillation = Field(
        "regularization.distillation", .number(0...1), default: "0",
        "For `llm_layers`: the share of the LLM's own distribution in the wanted distribution of the "
            + "next token; the rest is the label.")
    let dropout = Field(
        "regularization.dropout", .number(0...0.9), default: "0", "The share of units left out.")

    let interval = Field(
        "validation.interval", .wholeNumber(1...10_000_000), default: "500",
        "Steps between two validations. Each writes a checkpoint that training can go on from.")
    let patience = Field(
        "validation.patience", .wholeNumber(1...100_000),
        "Stop after this many validations without a better loss. Default: never.")
}

/// What a training recipe may say.
let recipeFields = RecipeFields()

package enum RecipeField {
    /// In the order of the documentation.
    package static let all = [FieldDescription](of: recipeFields)
}

extension Quantity<[Int]> {
    /// YAML has lists, too, but a line of text is read and refused like every other field.
    static let layers = Quantity(
        expected: "whole numbers from 0 to 255 that rise, such as 0, 2"
    ) { text in
        let words = text.split(separator: ",", omittingEmptySubsequences: false)
        let layers = words.compactMap { word in
            Int(word.drop { $0 == " " }).flatMap { (0...255).contains($0) ? $0 : nil }
        }
        let rises = zip(layers, layers.dropFirst()).allSatisfy { $0 < $1 }
        return layers.count == words.count && rises ? layers : nil
    }
}

extension TrainingRecipe.Adapter {
    /// The matrices of a layer of the Llama type.
    package static let all = [
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    ]
}

extension Quantity<[String]> {
    static let targets = Quantity(
        expected: "names among \(TrainingRecipe.Adapter.all.joined(separator: ", "))"
    ) { text in
        let names = text.split(separator: ",").map { $0.filter { $0 != " " } }
        let known = TrainingRecipe.Adapter.all
        guard !names.isEmpty, Set(names).count == names.count,
            names.allSatisfy(known.contains)
        else { return nil }
        return known.filter(names.contains)
    }
}

extension Quantity<Bool> {
    static let flag = Quantity(expected: "true or false") { Bool($0) }
}

extension Quantity<String> {
    /// Unlike models, data may lie anywhere.
    static let dataFile = Quantity(
        expected: "a path, from the working folder or absolute"
    ) { $0.isEmpty || $0.contains("\0") ? nil : $0 }

    static let fieldName = Quantity(expected: "the name of a JSON field") { $0.isEmpty ? nil : $0 }
}
