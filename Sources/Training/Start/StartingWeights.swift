internal import Checkpoints
internal import Foundation
internal import Inference
internal import Settings
internal import Tokenizers

/// The weights that a model starts with: new ones, those of a folder, or some layers of a folder.
struct StartingWeights {
    let configuration: ModelConfiguration
    /// The text of its config.json.
    let text: Data
    let decoder: Design.Decoder
    private let plan: TensorPlan
    /// Nil for new weights.
    private let stored: WeightFile?
    /// The name of a tensor in the file.
    private let storedName: (String) -> String
}

extension StartingWeights {
    private init(
        _ configuration: ModelConfiguration, text: Data, _ shape: T5Shape,
        stored: WeightFile? = nil, storedName: @escaping (String) -> String = { $0 }
    ) {
        self.init(
            configuration: configuration, text: text, decoder: .t5(shape),
            plan: TensorPlan(shape), stored: stored, storedName: storedName)
    }

    private init(
        _ configuration: ModelConfiguration, text: Data, _ layout: GPT2Layout,
        stored: WeightFile? = nil, storedName: @escaping (String) -> String = { $0 }
    ) {
        self.init(
            configuration: configuration, text: text, decoder: .gpt2(layout),
            plan: TensorPlan(layout), stored: stored, storedName: storedName)
    }

    /// - Parameter vocabulary: rows of the embedding.
    static func new(
        _ sizes: TrainingRecipe.Sizes, architecture: TrainingRecipe.Architecture,
        vocabulary: Int, endID: Int32
    ) throws -> StartingWeights {
        let text = try ConfigurationText.new(
            sizes, architecture: architecture, vocabulary: vocabulary, endID: endID)
        let configuration = try ModelConfiguration(text, path: "the recipe's sizes")
        switch configuration {
        case .t5(let t5):
            return StartingWeights(
                configuration, text: text,
                T5Shape(
                    layout: T5Layout(t5, vocabularyRows: vocabulary, isGated: true),
                    hasOwnHead: true, hasEncoder: architecture != .t5Decoder))
        case .gpt2(let gpt2):
            return StartingWeights(
                configuration, text: text, GPT2Layout(gpt2, vocabularyRows: vocabulary))
        case .rotary, .t5gemma, .classic:
            preconditionFailure("a recipe's sizes describe \(configuration.name)")
        }
    }

    /// - Parameter decoderLayers: the layers of a T5's decoder that are kept; nil for all.
    /// - Throws: `CheckpointError`; `InferenceError` for a packed folder or another architecture.
    static func stored(
        in folder: ModelFolder, architecture: TrainingRecipe.Architecture,
        decoderLayers: [Int]? = nil
    ) throws -> StartingWeights {
        func refuse(_ expected: String, _ found: String) -> InferenceError {
            .wrongModel(path: folder.path, expected: expected, found: found)
        }
        guard !folder.isPacked else {
            throw refuse("weights as they were trained", "packed ones; name the original folder")
        }
        switch folder.configuration {
        case .gpt2(let gpt2):
            guard architecture.isGPT2 else {
                throw refuse("a T5 for architecture \(architecture.rawValue)", "a GPT-2")
            }
            let layout = try GPT2Layout(gpt2, in: folder.weights)
            return StartingWeights(
                folder.configuration,
                text: try ConfigurationText.derived(from: folder, keepsEncoder: true),
                layout.canonical, stored: folder.weights,
                storedName: { layout.prefix + $0 })
        case .t5(let t5):
            guard !architecture.isGPT2 else { throw refuse("a GPT-2", "a T5") }
            if let layer = decoderLayers?.last, layer >= t5.decoderLayers {
                throw refuse(
                    "start.llm_layers below \(t5.decoderLayers), the LLM's decoder layers",
                    "\(layer)")
            }
            return try t5Part(of: folder, t5, architecture: architecture, layers: decoderLayers)
        case .rotary, .t5gemma, .classic:
            throw refuse("a T5 or a GPT-2 to start with", folder.configuration.name)
        }
    }

    private static func t5Part(
        of folder: ModelFolder, _ t5: T5Configuration,
        architecture: TrainingRecipe.Architecture, layers: [Int]?
    ) throws -> StartingWeights {
        let text = try ConfigurationText.derived(
            from: folder, decoderLayers: layers?.count, keepsEncoder: architecture != .t5Decoder)
        let configuration = try ModelConfiguration(text, path: folder.path + "/config.json")
        guard let part = configuration.t5 else { preconditionFailure("no T5") }
        let whole = try T5Layout(t5, in: folder.weights)
        let layout = T5Layout(
            part, vocabularyRows: whole.embedding.shape[0], isGated: whole.isGated)
        var names = [layout.embedding.name: whole.embedding.name]
        for (block, layer) in zip(layout.decoder.blocks, layers ?? []) {
            // Where layers share the table of biases, it is in the first one, whichever are kept.
            for tensor in block.tensors where tensor.role != .distanceBiases || t5.hasBiasPerBlock {
                names[tensor.name] =
                    whole.decoder.blocks[layer].prefix + tensor.name.dropFirst(block.prefix.count)
            }
        }
        return StartingWeights(
            configuration, text: text,
            T5Shape(
                layout: layout, hasOwnHead: try whole.head(in: folder.weights).isOwn,
                hasEncoder: architecture != .t5Decoder), stored: folder.weights,
            storedName: { [names] name in names[name] ?? name })
    }

    /// All weights.
    ///
    /// - Throws: `CheckpointError` for one that is missing or of another shape.
    func tensors(random: inout SplitMix64) throws -> [NamedTensor] {
        try plan.tensors.map { planned in
            guard let stored else { return planned.new(random: &random) }
            return try planned.stored(in: stored, as: storedName(planned.name))
        }
    }
}

extension PlannedTensor {
    func new(random: inout SplitMix64) -> NamedTensor {
        let values = FloatBuffer(count: shape.reduce(1, *))
        values.withFloats { floats in
            switch newValues {
            case .constant(let value): floats.update(repeating: value)
            case .random(let deviation):
                for index in floats.indices { floats[index] = random.normal() * deviation }
            }
        }
        return NamedTensor(name, shape, values)
    }
}
