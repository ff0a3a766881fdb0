package import Checkpoints
package import FoundationEssentials
internal import Inference
package import Settings
package import Tokenizers

/// The model that a recipe starts from, with every weight, a projector or a soft prompt, and the
/// tokenizer.
package struct StartingModel: Sendable {
    package let configuration: ModelConfiguration
    /// The decoder that the tensors make.
    let decoder: Design.Decoder
    /// The text of its config.json.
    package let configurationText: Data
    /// By the names of Hugging Face's checkpoints; a GPT-2's have no `transformer.`. A T5 whose
    /// head is its embedding has no `lm_head.weight`.
    package let tensors: [NamedTensor]
    /// For a model behind an LLM: weight and bias of `projector.in`, of `projector.out` and, where
    /// the LLM's embedding of the prompt is added, of `prompt_adapter`. For any other model: the
    /// soft prompt, if there is one.
    package let additions: [NamedTensor]
    /// A T5 without an encoder still has the encoder's norm in transformers, so the norm is stored.
    let untrained: [NamedTensor]
    /// The tokenizer of the outputs.
    package let tokenizer: any Tokenizer
    let tokenizerFolder: String

    /// - Parameters:
    ///   - llm: the large model's folder; nil for a model that reads the prompt itself.
    ///   - modelsFolder: the folder that the recipe's paths start from.
    /// - Throws: `CheckpointError`, `InferenceError`, `TokenizerError` for a folder that is
    ///   missing, lacks tensors or does not fit the LLM.
    package init(_ recipe: TrainingRecipe, llm: ModelFolder?, modelsFolder: String) throws {
        func path(_ folder: String) -> String { modelsFolder + "/" + folder }
        var checkpoint: ModelFolder?
        if case .checkpoint(let folder) = recipe.start {
            checkpoint = try ModelFolder(path: path(folder))
        }
        guard
            let tokenizerFolder = recipe.tokenizer.map(path) ?? checkpoint?.path ?? llm?.path
        else {
            throw InferenceError.wrongModel(
                path: "the recipe", expected: "start.tokenizer", found: "nothing")
        }
        self.tokenizerFolder = tokenizerFolder
        tokenizer = try openTokenizer(folder: tokenizerFolder)

        let weights: StartingWeights
        switch recipe.start {
        case .checkpoint:
            guard let checkpoint else { preconditionFailure("no checkpoint") }
            weights = try .stored(in: checkpoint, architecture: recipe.architecture)
        case .llmLayers(let layers):
            guard let llm else { preconditionFailure("no LLM") }
            weights = try .stored(
                in: llm, architecture: recipe.architecture, decoderLayers: layers)
        case .scratch(let sizes):
            weights = try .new(
                sizes, architecture: recipe.architecture,
                vocabulary: try Self.vocabulary(recipe, tokenizer: tokenizer, llm: llm),
                endID: try Self.endID(of: tokenizer, folder: tokenizerFolder))
        }
        (configuration, configurationText) = (weights.configuration, weights.text)
        decoder = weights.decoder
        var random = SplitMix64(seed: recipe.seed)
        tensors = try weights.tensors(random: &random)
        additions =
            llm == nil
            ? try Self.softPrompt(
                recipe, embedding: tensors[0], checkpoint: checkpoint?.path, random: &random)
            : try Self.projector(
                recipe, llm: llm, width: weights.configuration.width,
                checkpoint: checkpoint?.path, random: &random)
        if case .t5(let shape) = decoder, !shape.hasEncoder {
            untrained = [.ones(shape.layout.encoder.norm)]
        } else {
            untrained = []
        }
        guard tokenizer.vocabularySize <= tensors[0].shape[0] else {
            throw InferenceError.tokenOutsideVocabulary(
                path: tokenizerFolder, token: Int32(tokenizer.vocabularySize - 1),
                rows: tensors[0].shape[0])
        }
    }

    /// The rows of a new embedding. Where the SLM embeds the LLM's tokens, it needs a row for each.
    private static func vocabulary(
        _ recipe: TrainingRecipe, tokenizer: any Tokenizer, llm: ModelFolder?
    ) throws -> Int {
        guard recipe.fusion == .add, recipe.promptEmbedding == .slm, let llm else {
            return tokenizer.vocabularySize
        }
        return max(tokenizer.vocabularySize, try llm.vocabularyRows)
    }

    private static func endID(of tokenizer: any Tokenizer, folder: String) throws -> Int32 {
        let pieces = ["</s>", "<|endoftext|>"]
        guard let id = tokenizer.ids(ofPieces: pieces).compactMap(\.self).first else {
            throw InferenceError.wrongModel(
                path: folder,
                expected:
                    "a tokenizer with one of \(pieces.joined(separator: ", ")) to end outputs",
                found: "neither")
        }
        return id
    }

    private static func projector(
        _ recipe: TrainingRecipe, llm: ModelFolder?, width: Int, checkpoint: String?,
        random: inout SplitMix64
    ) throws -> [NamedTensor] {
        guard let llm else { return [] }
        let hasAdapter = recipe.fusion == .add && recipe.promptEmbedding == .llm
        func plan(hidden: Int) -> TensorPlan {
            TensorPlan(
                projectorFrom: llm.configuration.width, hidden: hidden, to: width,
                hasAdapter: hasAdapter)
        }
        if let checkpoint, SLMManifest.exists(in: checkpoint) {
            let file = try WeightFile(path: checkpoint + "/" + SLMFolder.projectorFile)
            let hidden = try file.tensor(
                "projector.in.weight", shape: [nil, llm.configuration.width]
            ).shape[0]
            return try plan(hidden: hidden).tensors.map { try $0.stored(in: file) }
        }
        if case .llmLayers = recipe.start, recipe.projectorWidth == nil {
            return NamedTensor.identityProjector(width: width)
        }
        let hidden = recipe.projectorWidth ?? llm.configuration.width
        return plan(hidden: hidden).tensors.map { $0.new(random: &random) }
    }

    /// The soft prompt of the checkpoint, or rows of the embedding. Lester et al. found that soft
    /// prompts learn better from the vectors of frequent tokens than from noise, and vocabularies
    /// begin with frequent tokens.
    private static func softPrompt(
        _ recipe: TrainingRecipe, embedding: NamedTensor, checkpoint: String?,
        random: inout SplitMix64
    ) throws -> [NamedTensor] {
        let (rows, width) = (embedding.shape[0], embedding.shape[1])
        let stored = try checkpoint.flatMap { try SoftPrompt.stored(in: $0, width: width) }
        if let stored, stored.shape[0] != recipe.softPrompt {
            throw InferenceError.wrongModel(
                path: checkpoint ?? "",
                expected: "sizes.soft_prompt: \(stored.shape[0]), as many "
                    + "vectors as its \(SoftPrompt.fileName) has", found: "\(recipe.softPrompt)")
        }
        guard recipe.softPrompt > 0 else { return [] }
        let shape = [recipe.softPrompt, width]
        let values = FloatBuffer(count: recipe.softPrompt * width)
        if let stored {
            values.withFloats { stored.read(into: $0) }
        } else {
            let tokens = (0..<recipe.softPrompt).map { _ in
                Int32.random(in: 0..<Int32(min(rows, 5_000)), using: &random)
            }
            values.rows(width: width).gather(tokens, from: embedding.values.rows(width: width))
        }
        return [NamedTensor(SoftPrompt.tensorName, shape, values)]
    }
}

extension PlannedTensor {
    func stored(in file: WeightFile, as storedName: String? = nil) throws -> NamedTensor {
        let tensor = try file.tensor(storedName ?? name, shape: shape.map { $0 })
        let values = FloatBuffer(count: tensor.count)
        values.withFloats { tensor.read(into: $0) }
        return NamedTensor(name, shape, values)
    }
}

extension NamedTensor {
    static func ones(_ tensor: LayoutTensor) -> NamedTensor {
        let values = FloatBuffer(count: tensor.shape.reduce(1, *))
        values.withFloats { $0.update(repeating: 1) }
        return NamedTensor(tensor.name, tensor.shape, values)
    }

    /// A projector that changes nothing: out(relu(in(h))) = relu(h) − relu(−h) = h, with a hidden
    /// layer of twice the width. With it, a decoder cut from the LLM's starts with the states that
    /// it was trained on.
    static func identityProjector(width: Int) -> [NamedTensor] {
        let (inner, outer) = (
            FloatBuffer(count: 2 * width * width), FloatBuffer(count: 2 * width * width)
        )
        for unit in 0..<width {
            for (hidden, sign) in [(unit, Float(1)), (width + unit, -1)] {
                inner.withFloats { $0[hidden * width + unit] = sign }
                outer.withFloats { $0[unit * 2 * width + hidden] = sign }
            }
        }
        return [
            NamedTensor("projector.in.weight", [2 * width, width], inner),
            NamedTensor("projector.in.bias", [2 * width], FloatBuffer(count: 2 * width)),
            NamedTensor("projector.out.weight", [width, 2 * width], outer),
            NamedTensor("projector.out.bias", [width], FloatBuffer(count: width)),
        ]
    }
}
