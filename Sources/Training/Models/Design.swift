package import Checkpoints
internal import Inference

/// The model that is trained: its parts and their sizes.
package struct Design: Sendable {
    package enum Decoder: Sendable {
        case t5(T5Shape)
        case gpt2(GPT2Layout)
        case rotary(RotaryShape)
    }

    /// The projector between the frozen LLM and the decoder.
    package struct Projection: Sendable {
        /// What is added to the projected states.
        package enum Addend: Sendable {
            case none
            /// The decoder's own embedding of the prompt.
            case decoder
            /// A · Emb_llm[x] + c
            case adapted
        }

        package let encoderWidth: Int
        package let hiddenWidth: Int
        package let addend: Addend

        package init(encoderWidth: Int, hiddenWidth: Int, addend: Addend) {
            self.encoderWidth = encoderWidth
            self.hiddenWidth = hiddenWidth
            self.addend = addend
        }
    }

    package let decoder: Decoder
    /// Nil where the model reads its prompts' tokens itself.
    package let projection: Projection?
    /// The number of learned vectors before every prompt.
    package let softPrompt: Int
    /// Whether the soft prompt alone is trained.
    package let isDecoderFrozen: Bool

    /// - Precondition: a model behind a projector has no soft prompt.
    package init(
        decoder: Decoder, projection: Projection?, softPrompt: Int = 0,
        isDecoderFrozen: Bool = false
    ) {
        precondition(projection == nil || softPrompt == 0, "\(softPrompt) vectors and a projector")
        self.decoder = decoder
        self.projection = projection
        self.softPrompt = softPrompt
        self.isDecoderFrozen = isDecoderFrozen
    }

    package var width: Int {
        switch decoder {
        case .t5(let shape): shape.layout.configuration.modelWidth
        case .gpt2(let layout): layout.configuration.width
        case .rotary(let shape): shape.configuration.width
        }
    }
}

/// A T5 as it is trained.
package struct T5Shape: Sendable {
    package let layout: T5Layout
    package let hasOwnHead: Bool
    /// Without an encoder, the decoder attends to the projected states.
    package let hasEncoder: Bool
}

extension Design {
    /// The design of the model in an SLM folder.
    ///
    /// - Throws: `CheckpointError` for tensors that are missing.
    package init(slm folder: ModelFolder, manifest: SLMManifest, projector: WeightFile) throws {
        let shape = try projector.tensor("projector.in.weight", shape: [nil, nil]).shape
        let addend: Projection.Addend =
            switch (manifest.fusion, manifest.promptEmbedding) {
            case (.add, .slm): .decoder
            case (.add, .llm): .adapted
            case (.replace, _), (.crossAttention, _), (.layers, _): .none
            }
        self.init(
            decoder: try Decoder(folder, hasEncoder: manifest.fusion != .crossAttention),
            projection: Projection(encoderWidth: shape[1], hiddenWidth: shape[0], addend: addend))
    }
}

extension Design.Decoder {
    /// The decoder whose weights a model folder holds.
    ///
    /// - Throws: `CheckpointError` for tensors that are missing.
    package init(_ folder: ModelFolder, hasEncoder: Bool) throws {
        switch folder.configuration {
        case .t5(let configuration):
            let layout = try T5Layout(configuration, in: folder.weights)
            self = .t5(
                T5Shape(
                    layout: layout.canonical, hasOwnHead: try layout.head(in: folder.weights).isOwn,
                    hasEncoder: hasEncoder))
        case .gpt2(let configuration):
            self = .gpt2(try GPT2Layout(configuration, in: folder.weights).canonical)
        case .rotary(let configuration):
            self = .rotary(try RotaryShape(folder, configuration, adapter: nil))
        case .t5gemma, .classic:
            throw InferenceError.wrongModel(
                path: folder.path,
                expected: "a T5, a GPT-2 or a model of the Llama type, which can be trained",
                found: folder.configuration.name)
        }
    }
}
