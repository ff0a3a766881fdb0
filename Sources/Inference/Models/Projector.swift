package import Checkpoints

/// The way from an encoder's states H to what a decoder takes: Z = out(relu(in(H))), fused with the
/// prompt's embedding (LLM-to-SLM, arXiv 2402.16844); or H itself where the encoder's own decoder
/// writes.
package struct Projector: Sendable {
    private struct Weights: Sendable {
        let inner: (weight: PackedMatrix, bias: WeightVector)
        let outer: (weight: PackedMatrix, bias: WeightVector)
        let addend: Addend
    }

    /// E of S = E + Z.
    private enum Addend: Sendable {
        case none
        /// The decoder's embedding of the same tokens.
        case decoder(EmbeddingTable)
        /// A · Emb_llm[x] + c, where encoder and decoder have different tokenizers.
        case adapted(EmbeddingTable, weight: PackedMatrix, bias: WeightVector)
    }

    private let weights: Weights?

    /// The encoder's own decoder writes: states pass unchanged.
    package static let identity = Projector(weights: nil)

    private init(weights: Weights?) { self.weights = weights }

    /// Loads `projector.safetensors` of an SLM folder.
    ///
    /// - Throws: `CheckpointError` where its shapes do not join `encoder` to the SLM.
    package init(_ manifest: SLMManifest, slm: ModelFolder, encoder: Encoder) throws {
        guard encoder.softPromptTokens == 0 else {
            throw InferenceError.wrongModel(
                path: encoder.path, expected: "a large model that reads its prompts' tokens alone",
                found: SoftPrompt.fileName)
        }
        // Small, and everything passes through it: it stays in full precision.
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
        case (.replace, _), (.crossAttention, _):
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
        weights = Weights(inner: inner, outer: outer, addend: addend)
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

extension ModelConfiguration {
    package var width: Int {
        switch self {
        case .t5(let configuration): configuration.modelWidth
        case .gpt2(let configuration): configuration.width
        case .rotary(let configuration): configuration.width
        case .t5gemma(let configuration): configuration.decoder.width
        }
    }
}

extension ModelFolder {
    /// Tokens must be below this.
    package var vocabularyRows: Int { get throws { try embedding.rows } }

    var embedding: EmbeddingTable {
        get throws {
            switch configuration {
            case .t5(let t5): EmbeddingTable(try weights.tokenEmbedding(width: t5.modelWidth))
            case .gpt2: try GPT2Decoder.embedding(self)
            case .rotary(let rotary):
                EmbeddingTable(try weights.rotaryEmbedding(width: rotary.width))
            case .t5gemma(let t5gemma):
                EmbeddingTable(
                    try weights.tensor(
                        "model.encoder.embed_tokens.weight", shape: [nil, t5gemma.encoder.width]))
            }
        }
    }
}
