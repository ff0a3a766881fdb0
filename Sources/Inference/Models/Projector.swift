package import Checkpoints

/// Turns an encoder's states H into what a decoder takes: Z = out(relu(in(H))), fused with the
/// prompt's embedding (LLM-to-SLM, arXiv 2402.16844). Where the encoder's own decoder writes, it
/// takes H itself.
package struct Projector: Sendable {
    private struct Weights: Sendable {
        let inner: (weight: PackedMatrix, bias: WeightVector)
        let outer: (weight: PackedMatrix, bias: WeightVector)
        let addend: Addend
    }

    /// The embedding E of the prompt in S = E + Z.
    private enum Addend: Sendable {
        case none
        /// The decoder's embedding of the same tokens.
        case decoder(EmbeddingTable)
        /// A · Emb_llm[x] + c, where encoder and decoder have different tokenizers.
        case adapted(EmbeddingTable, weight: PackedMatrix, bias: WeightVector)
    }

    /// The part of a reading that is handed over.
    enum Source: Sendable {
        /// What the model's own decoder takes: an encoder's states, or the keys and values of all
        /// layers of a decoder-only model.
        case own
        /// The states after a layer of a decoder-only model, counted from 1. Only those of the last
        /// layer pass the final norm. Nil for the last states of any model.
        case states(afterLayer: Int?)
        /// The keys and values of these layers of a decoder-only model, counted from 0.
        case caches(ofLayers: [Int])
    }

    let source: Source
    private let weights: Weights?

    /// For the encoder's own decoder: everything is handed over as it is.
    package static let identity = Projector(source: .own, weights: nil)

    /// Hands over states as they are.
    ///
    /// - Parameter layer: see `Source.states`; at most the encoder's `depth`.
    package static func states(afterLayer layer: Int? = nil) -> Projector {
        Projector(source: .states(afterLayer: layer), weights: nil)
    }

    private init(source: Source, weights: Weights?) {
        self.source = source
        self.weights = weights
    }

    /// Loads `projector.safetensors` of an SLM folder.
    ///
    /// - Throws: `CheckpointError` where its shapes do not join `encoder` to the SLM;
    ///   `InferenceError` for a large model that the SLM does not fit.
    package init(_ manifest: SLMManifest, slm: ModelFolder, encoder: Encoder) throws {
        guard encoder.softPromptTokens == 0 else {
            throw InferenceError.wrongModel(
                path: encoder.path, expected: "a large model that reads its prompts' tokens alone",
                found: SoftPrompt.fileName)
        }
        let depth = try manifest.depth(in: encoder)
        guard manifest.fusion != .layers else {
            self.init(source: .caches(ofLayers: manifest.layers), weights: nil)
            return
        }
        // The projector is small, and everything passes through it: it stays in float32.
        let loader = WeightLoader(
            float32: try WeightFile(path: manifest.folder + "/projector.safetensors"))
        let decoderWidth = slm.configuration.width
        func linear(
            _ name: String, _ columns: Int?, _ inner: Int
        ) throws -> (weight: PackedMatrix, bias: WeightVector) {
            let weight = try loader.matrix([name + ".weight"], shape: [columns, inner])
            return (weight, try loader.vector(name + ".bias", count: weight.columns))
        }
        let inner = try linear("projector.in", nil, encoder.width)
        let outer = try linear("projector.out", decoderWidth, inner.weight.columns)
        let addend: Addend
        switch (manifest.fusion, manifest.promptEmbedding) {
        case (.replace, _), (.crossAttention, _), (.layers, _):
            addend = .none
        case (.add, .slm):
            let table = try slm.embedding
            guard table.rows >= encoder.vocabularyRows else {
                throw InferenceError.widthMismatch(
                    path: slm.path, what: "the embedding of a shared vocabulary",
                    expected: encoder.vocabularyRows, found: table.rows)
            }
            addend = .decoder(table)
        case (.add, .llm):
            let adapter = try linear("prompt_adapter", decoderWidth, encoder.width)
            addend = .adapted(encoder.embedding, weight: adapter.weight, bias: adapter.bias)
        }
        self.init(
            source: .states(afterLayer: depth),
            weights: Weights(inner: inner, outer: outer, addend: addend))
    }

    /// states [tokens, encoder width] → [tokens, decoder width]
    func project(_ states: Rows, tokens: [Int32], workspace: Workspace) -> PromptStates {
        guard let weights else { return PromptStates(copying: states) }
        return workspace.scope {
            let hidden = workspace.rows(states.count, weights.inner.weight.columns)
            let fused = workspace.rows(states.count, weights.outer.weight.columns)
            Operators.multiply(
                states, weights.inner.weight, into: hidden, bias: weights.inner.bias,
                activation: .relu, workspace: workspace)
            Operators.multiply(
                hidden, weights.outer.weight, into: fused, bias: weights.outer.bias,
                workspace: workspace)
            switch weights.addend {
            case .none: break
            case .decoder(let table):
                let embedded = workspace.rows(fused.count, fused.width)
                table.gather(tokens, into: embedded)
                fused.add(embedded)
            case .adapted(let table, let weight, let bias):
                let embedded = workspace.rows(fused.count, table.width)
                table.gather(tokens, into: embedded)
                Operators.multiply(
                    embedded, weight, into: fused, accumulate: true, bias: bias,
                    workspace: workspace)
            }
            return PromptStates(copying: fused)
        }
    }
}

extension SLMManifest {
    /// How many layers of the LLM a prompt is taken through for the small model; nil for all.
    ///
    /// - Throws: `InferenceError` where the LLM does not have them.
    fileprivate func depth(in encoder: Encoder) throws -> Int? {
        let path = folder + "/" + Self.fileName
        guard let wanted = llmDepth else { return nil }
        guard let depth = encoder.depth else {
            throw InferenceError.wrongModel(
                path: path,
                expected: "a decoder-only LLM, whose layers \(Self.layerFields) name",
                found: encoder.path)
        }
        guard wanted <= depth else {
            throw InferenceError.wrongModel(
                path: path, expected: "layers of the LLM, which has \(depth) (\(encoder.path))",
                found: "layer \(wanted) counted from 1")
        }
        return wanted
    }
}

extension ModelConfiguration {
    /// The width of the decoder's hidden states.
    package var width: Int {
        switch self {
        case .t5(let configuration): configuration.modelWidth
        case .gpt2(let configuration): configuration.width
        case .rotary(let configuration): configuration.width
        case .t5gemma(let configuration): configuration.decoder.width
        case .classic(let configuration): configuration.width
        }
    }
}

extension ModelFolder {
    /// Tokens must be below this.
    package var vocabularyRows: Int { get throws { try embedding.rows } }

    /// The token vectors that a prompt is read with.
    var embedding: EmbeddingTable {
        get throws {
            switch configuration {
            case .t5(let t5):
                EmbeddingTable(try weights.tensor(T5Layout(t5, in: weights).embedding))
            case .gpt2(let gpt2):
                EmbeddingTable(try weights.tensor(GPT2Layout(gpt2, in: weights).tokens))
            case .rotary(let rotary):
                EmbeddingTable(
                    try weights.rotaryEmbedding(width: rotary.width), scale: rotary.embeddingScale)
            case .t5gemma(let t5gemma):
                EmbeddingTable(
                    try weights.t5gemmaEmbedding(.encoder, width: t5gemma.encoder.width),
                    scale: t5gemma.encoder.embeddingScale)
            case .classic(let classic):
                EmbeddingTable(
                    try weights.classicEmbedding(of: "encoder", classic),
                    scale: classic.embeddingScale)
            }
        }
    }
}
