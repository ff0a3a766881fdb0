package import Checkpoints
internal import Inference

/// What is trained: its parts and their sizes.
package struct Design: Sendable {
    package enum Writer: Sendable {
        case t5(T5Shape)
        case gpt2(GPT2Configuration, vocabularyRows: Int)
    }

    /// The way from the frozen LLM to the writer.
    package struct Bridge: Sendable {
        package enum Addend: Sendable {
            case none
            /// The writer's own embedding of the prompt.
            case writer
            /// A · Emb_llm[x] + c
            case adapted
        }

        package let readerWidth: Int
        package let hiddenWidth: Int
        package let addend: Addend

        package init(readerWidth: Int, hiddenWidth: Int, addend: Addend) {
            self.readerWidth = readerWidth
            self.hiddenWidth = hiddenWidth
            self.addend = addend
        }
    }

    package let writer: Writer
    /// Nil where the model reads its prompts' tokens itself.
    package let bridge: Bridge?
    /// Learned vectors before every prompt's own.
    package let softPrompt: Int
    /// Whether the soft prompt alone is trained.
    package let isWriterFrozen: Bool

    /// - Precondition: a model behind a bridge has no soft prompt.
    package init(
        writer: Writer, bridge: Bridge?, softPrompt: Int = 0, isWriterFrozen: Bool = false
    ) {
        precondition(bridge == nil || softPrompt == 0, "\(softPrompt) vectors and a bridge")
        self.writer = writer
        self.bridge = bridge
        self.softPrompt = softPrompt
        self.isWriterFrozen = isWriterFrozen
    }

    package var width: Int {
        switch writer {
        case .t5(let shape): shape.configuration.modelWidth
        case .gpt2(let configuration, _): configuration.width
        }
    }
}

/// A T5 with what its configuration leaves to its weights.
package struct T5Shape: Sendable {
    package let configuration: T5Configuration
    package let vocabularyRows: Int
    package let isGated: Bool
    package let hasOwnHead: Bool
    /// Without one, the decoder attends to the projected states.
    package let hasEncoder: Bool

    package init(
        configuration: T5Configuration, vocabularyRows: Int, isGated: Bool, hasOwnHead: Bool,
        hasEncoder: Bool
    ) {
        self.configuration = configuration
        self.vocabularyRows = vocabularyRows
        self.isGated = isGated
        self.hasOwnHead = hasOwnHead
        self.hasEncoder = hasEncoder
    }

    /// As the weights of a checkpoint have it.
    package init(_ configuration: T5Configuration, in weights: WeightFile, hasEncoder: Bool) throws
    {
        let width = configuration.modelWidth
        let names = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
        let table = try weights.tensor(
            names.first(where: weights.contains) ?? names[0], shape: [nil, width])
        let head = "lm_head.weight"
        let hasOwnHead =
            try weights.contains(head)
            && !weights.tensor(head, shape: [nil, width]).hasSameElements(as: table)
        self.init(
            configuration: configuration, vocabularyRows: table.shape[0],
            isGated: weights.names.contains { $0.hasSuffix("DenseReluDense.wi_0.weight") },
            hasOwnHead: hasOwnHead, hasEncoder: hasEncoder)
    }

    /// A tied head is scaled where the configuration says so; a head of the model's own never is.
    var logitScale: Float {
        configuration.scalesLogits && !hasOwnHead
            ? 1 / Float(configuration.modelWidth).squareRoot() : 1
    }
}

extension Design {
    /// As an SLM folder has it.
    ///
    /// - Throws: `CheckpointError` for tensors that are missing.
    package init(slm folder: ModelFolder, manifest: SLMManifest, projector: WeightFile) throws {
        let shape = try projector.tensor("projector.in.weight", shape: [nil, nil]).shape
        let addend: Bridge.Addend =
            switch (manifest.fusion, manifest.promptEmbedding) {
            case (.add, .slm): .writer
            case (.add, .llm): .adapted
            case (.replace, _), (.crossAttention, _): .none
            }
        self.init(
            writer: try Writer(folder, hasEncoder: manifest.fusion != .crossAttention),
            bridge: Bridge(readerWidth: shape[1], hiddenWidth: shape[0], addend: addend))
    }
}

extension Design.Writer {
    /// As the weights of a checkpoint have it.
    ///
    /// - Throws: `CheckpointError` for tensors that are missing.
    package init(_ folder: ModelFolder, hasEncoder: Bool) throws {
        switch folder.configuration {
        case .t5(let configuration):
            self = .t5(try T5Shape(configuration, in: folder.weights, hasEncoder: hasEncoder))
        case .gpt2(let configuration):
            let table = try folder.weights.tensor(
                folder.weights.gpt2Prefix + "wte.weight", shape: [nil, configuration.width])
            self = .gpt2(configuration, vocabularyRows: table.shape[0])
        }
    }
}
