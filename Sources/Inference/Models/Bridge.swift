package import Checkpoints

/// The way from a reader's states H to what a writer takes: Z = out(relu(in(H))), fused with the
/// prompt's embedding (LLM-to-SLM, arXiv 2402.16844); or H itself where the reader's own decoder
/// writes.
package struct Bridge: Sendable {
    private struct Projector: Sendable {
        let inner: (weight: PackedMatrix, bias: WeightVector)
        let outer: (weight: PackedMatrix, bias: WeightVector)
        let addend: Addend
    }

    /// E of S = E + Z.
    private enum Addend: Sendable {
        case none
        /// The writer's embedding of the same tokens.
        case writer(EmbeddingTable)
        /// A · Emb_llm[x] + c, where reader and writer have different tokenizers.
        case adapted(EmbeddingTable, weight: PackedMatrix, bias: WeightVector)
    }

    private let projector: Projector?

    /// The reader's own decoder writes: states pass unchanged.
    package static let identity = Bridge(projector: nil)

    private init(projector: Projector?) { self.projector = projector }

    /// Loads `projector.safetensors` of an SLM folder.
    ///
    /// - Throws: `CheckpointError` where its shapes do not join `reader` to the SLM.
    package init(_ manifest: SLMManifest, slm: ModelFolder, reader: Reader) throws {
        guard reader.softPromptTokens == 0 else {
            throw InferenceError.wrongModel(
                path: reader.path, expected: "a large model that reads its prompts' tokens alone",
                found: SoftPrompt.fileName)
        }
        // Small, and everything passes through it: it stays in full precision.
        let loader = WeightLoader(
            float32: try WeightFile(path: manifest.folder + "/projector.safetensors"))
        let writerWidth = slm.configuration.width
        func linear(
            _ name: String, _ columns: Int?, _ inner: Int
        ) throws -> (weight: PackedMatrix, bias: WeightVector) {
            let weight = try loader.matrix([name + ".weight"], shape: [columns, inner])
            return (weight, try loader.vector(name + ".bias", count: weight.columns))
        }
        let inner = try linear("projector.in", nil, reader.width)
        let outer = try linear("projector.out", writerWidth, inner.weight.columns)
        let addend: Addend
        switch (manifest.fusion, manifest.promptEmbedding) {
        case (.replace, _), (.crossAttention, _):
            addend = .none
        case (.add, .slm):
            let table = try slm.embedding
            guard table.rows >= reader.vocabularyRows else {
                throw InferenceError.widthMismatch(
                    path: slm.path, what: "the embedding of a shared vocabulary",
                    expected: reader.vocabularyRows, found: table.rows)
            }
            addend = .writer(table)
        case (.add, .llm):
            let adapter = try linear("prompt_adapter", writerWidth, reader.width)
            addend = .adapted(reader.embedding, weight: adapter.weight, bias: adapter.bias)
        }
        projector = Projector(inner: inner, outer: outer, addend: addend)
    }

    /// states [tokens, reader width] → [tokens, writer width]
    func cross(_ states: Rows, tokens: [Int32], workspace: Workspace) -> PromptStates {
        guard let projector else { return PromptStates(copying: states) }
        return workspace.scope {
            let hidden = workspace.rows(states.count, projector.inner.weight.columns)
            let fused = workspace.rows(states.count, projector.outer.weight.columns)
            Operators.multiply(
                states, projector.inner.weight, into: hidden, bias: projector.inner.bias,
                activation: .relu, workspace: workspace)
            Operators.multiply(
                hidden, projector.outer.weight, into: fused, bias: projector.outer.bias,
                workspace: workspace)
            switch projector.addend {
            case .none: break
            case .writer(let table):
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
            }
        }
    }
}
