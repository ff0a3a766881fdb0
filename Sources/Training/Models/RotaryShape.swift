package import Checkpoints

/// A decoder-only model with rotary positions as it is trained.
package struct RotaryShape: Sendable {
    package let configuration: RotaryConfiguration
    package let vocabularyRows: Int
    package let hasOwnHead: Bool
    /// The low-rank adapter that is trained while the model's own weights stay as they are. Nil
    /// where all weights are trained.
    package let adapter: AdapterShape?
    /// The layers that are trained to write, from what the whole model read. Nil where the whole
    /// model reads and writes.
    package let writingLayers: [Int]?
    /// Whether the model reads with an adapter of its own, which the writing layers do not have.
    package let readsAdapted: Bool

    package init(
        configuration: RotaryConfiguration, vocabularyRows: Int, hasOwnHead: Bool,
        adapter: AdapterShape?, writingLayers: [Int]? = nil, readsAdapted: Bool = false
    ) {
        self.configuration = configuration
        self.vocabularyRows = vocabularyRows
        self.hasOwnHead = hasOwnHead
        self.adapter = adapter
        self.writingLayers = writingLayers
        self.readsAdapted = readsAdapted && writingLayers != nil
    }

    /// The shape of the model in a folder.
    ///
    /// - Throws: `CheckpointError` for tensors that are missing; `UntrainableModel`.
    package init(
        _ folder: ModelFolder, _ configuration: RotaryConfiguration, adapter: AdapterShape?,
        writingLayers: [Int]? = nil
    ) throws {
        let readsAdapted = folder.adapter != nil
        if let what = configuration.untrained {
            throw UntrainableModel(path: folder.path, what: what)
        }
        if let layer = writingLayers?.first(where: { $0 >= configuration.layers.count }) {
            throw UntrainableModel(
                path: folder.path,
                what: "layer \(layer), where layers are counted from 0 to "
                    + "\(configuration.layers.count - 1)")
        }
        let width = configuration.width
        let table = try folder.weights.tensor(RotaryNames.embedding, shape: [nil, width])
        self.init(
            configuration: configuration, vocabularyRows: table.shape[0],
            hasOwnHead: !configuration.tiesEmbeddings
                && folder.weights.contains(RotaryNames.head),
            adapter: adapter, writingLayers: writingLayers, readsAdapted: readsAdapted)
    }
}

/// A low-rank adapter, as PEFT describes it.
package struct AdapterShape: Sendable, Equatable {
    package let rank: Int
    /// What the product B · A · x is multiplied by.
    package let scale: Float
    /// The matrices that it changes, by the last part of their modules' names, such as `q_proj`.
    package let targets: Set<String>

    package init(rank: Int, scale: Float, targets: Set<String>) {
        self.rank = rank
        self.scale = scale
        self.targets = targets
    }
}

/// A model that l2s can run but not train.
package struct UntrainableModel: Error, CustomStringConvertible {
    package let path: String
    package let what: String

    package var description: String {
        "\(path): expected a model of the Llama type that `l2s train` can train, found \(what)"
    }
}

extension RotaryConfiguration {
    /// The first feature of the model that training does not have, in words; nil for none.
    fileprivate var untrained: String? {
        if normsAddOne || hasOutputNorms { return "norms as Gemma has them" }
        if hasHeadNorms { return "norms of queries and keys" }
        if hasQueryKeyValueBias || hasOutputBias || hasFeedForwardBias { return "biases" }
        if attentionCap != nil || logitCap != nil { return "soft caps" }
        if embeddingScale != 1 { return "scaled token vectors" }
        if layers.contains(where: { $0.window != nil }) { return "layers with a window" }
        return nil
    }
}

// Names of tensors in adapters, and of the base weights beside them.
extension RotaryNames {
    /// Begins the names of base weights as the model's own file has them. The same weights with the
    /// merged adapter, which the model reads with, have the plain names.
    static let unadapted = "unadapted "

    /// - Parameter module: such as `model.layers.0.self_attn.q_proj`.
    static func down(_ module: String) -> String { "base_model.model.\(module)\(endOfDown)" }
    static func up(_ module: String) -> String { "base_model.model.\(module).lora_B.weight" }

    static let endOfDown = ".lora_A.weight"

    static let attention = ["q_proj", "k_proj", "v_proj"]
}
