internal import Checkpoints
internal import Foundation
internal import Inference
internal import Settings
internal import Tokenizers

/// Where the weights of a model come from: nowhere, a folder, or some layers of a folder.
struct StartingWeights {
    let configuration: ModelConfiguration
    /// config.json.
    let text: Data
    private let plan: TensorPlan
    /// Nil for new weights.
    private let stored: WeightFile?
    /// What the file calls a tensor.
    private let storedName: (String) -> String
}

extension StartingWeights {
    /// - Parameter vocabulary: rows of the embedding.
    static func new(
        _ sizes: TrainingRecipe.Sizes, architecture: TrainingRecipe.Architecture,
        vocabulary: Int, endID: Int32
    ) throws -> StartingWeights {
        let text = try ConfigurationText.new(
            sizes, architecture: architecture, vocabulary: vocabulary, endID: endID)
        let configuration = try ModelConfiguration(text, path: "the recipe's sizes")
        let plan =
            switch configuration {
            case .t5(let t5):
                TensorPlan(t5, vocabulary: vocabulary, isGated: true, hasOwnHead: true)
            case .gpt2(let gpt2):
                TensorPlan(gpt2, vocabulary: vocabulary)
            case .rotary, .t5gemma, .classic:
                preconditionFailure("a recipe's sizes describe \(configuration.name)")
            }
        return StartingWeights(
            configuration: configuration, text: text, plan: plan, stored: nil,
            storedName: { $0 })
    }

    /// - Parameter decoderLayers: those of a T5's that are kept; nil for all.
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
        let weights = folder.weights
        switch folder.configuration {
        case .gpt2(let gpt2):
            guard architecture.isGPT2 else {
                throw refuse("a T5 for architecture \(architecture.rawValue)", "a GPT-2")
            }
            let prefix = weights.gpt2Prefix
            let rows = try weights.tensor(prefix + "wte.weight", shape: [nil, gpt2.width]).shape[0]
            return StartingWeights(
                configuration: folder.configuration,
                text: try ConfigurationText.derived(from: folder, keepsEncoder: true),
                plan: TensorPlan(gpt2, vocabulary: rows), stored: weights,
                storedName: { prefix + $0 })
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
        let weights = folder.weights
        let text = try ConfigurationText.derived(
            from: folder, decoderLayers: layers?.count, keepsEncoder: architecture != .t5Decoder)
        let configuration = try ModelConfiguration(text, path: folder.path + "/config.json")
        guard case .t5(let part) = configuration else { preconditionFailure("no T5") }
        let table = try weights.tokenEmbedding(width: t5.modelWidth)
        let head = "lm_head.weight"
        let hasOwnHead =
            try weights.contains(head) && !weights.tensor(head).hasSameElements(as: table)
        let plan = TensorPlan(
            part, vocabulary: table.shape[0],
            isGated: weights.contains("decoder.block.0.layer.2.DenseReluDense.wi_0.weight"),
            hasOwnHead: hasOwnHead)
        return StartingWeights(
            configuration: configuration, text: text, plan: plan, stored: weights,
            storedName: { name in
                if name == "shared.weight" { return table.name }
                guard let layers else { return name }
                return name.ofLayer(layers, sharesBias: !t5.hasBiasPerBlock)
            })
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

extension String {
    /// What the whole decoder calls a tensor of a decoder made of its `layers`. Where layers share
    /// the table of relative biases, the first one has it, whichever is cut out.
    fileprivate func ofLayer(_ layers: [Int], sharesBias: Bool) -> String {
        let prefix = "decoder.block."
        guard hasPrefix(prefix), !(sharesBias && hasSuffix("relative_attention_bias.weight"))
        else { return self }
        let rest = dropFirst(prefix.count)
        let number = rest.prefix { $0.isNumber }
        guard let index = Int(number), index < layers.count else { return self }
        return prefix + "\(layers[index])" + rest.dropFirst(number.count)
    }
}
