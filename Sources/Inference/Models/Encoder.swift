package import Checkpoints

/// The model that reads: prompts in, states out, many documents in one pass.
package struct Encoder: Sendable {
    private enum Kind: Sendable {
        case encoder(T5Encoder)
        case t5gemma(T5GemmaEncoder)
        case rotary(RotaryEncoder)
        case classic(ClassicEncoder)
        /// A GPT-2 that reads for itself takes its own input embeddings as the prefix.
        case embeddings
    }

    private let kind: Kind
    let embedding: EmbeddingTable
    /// Vectors that are read before every prompt.
    private let softPrompt: EmbeddingTable?
    /// The folder, for errors.
    package let path: String

    /// Loads the encoder of a T5, a T5Gemma or a classic transformer, the layers of a decoder-only
    /// model, or the embedding of a GPT-2 that reads for itself. Loads the soft prompt, too, if the
    /// folder has one.
    ///
    /// - Parameters:
    ///   - depth: how many layers of a decoder-only model are needed; nil for all. Others are not
    ///     loaded.
    ///   - pool: the models that were opened before.
    /// - Throws: `CheckpointError`; `InferenceError` for a T5 that has only a decoder.
    package init(
        _ folder: ModelFolder, format: WeightFormat = .float32, depth: Int? = nil,
        pool: WeightPool = WeightPool()
    ) throws {
        path = folder.path
        switch folder.configuration {
        case .t5(let configuration):
            guard configuration.encoderLayers > 0 else {
                throw InferenceError.wrongModel(
                    path: folder.path, expected: "a T5 with an encoder, which can read",
                    found: "one with a decoder alone")
            }
            let encoder = try T5Encoder(folder, loader: WeightLoader(folder, format: format))
            kind = .encoder(encoder)
            embedding = encoder.embedding
        case .gpt2:
            kind = .embeddings
            embedding = try folder.embedding
        case .rotary(let configuration):
            let encoder = try RotaryEncoder(
                pool.rotary(folder, configuration, format: format),
                depth: min(depth ?? .max, configuration.layers.count))
            kind = .rotary(encoder)
            embedding = encoder.embedding
        case .t5gemma:
            let encoder = try T5GemmaEncoder(folder, loader: WeightLoader(folder, format: format))
            kind = .t5gemma(encoder)
            embedding = encoder.embedding
        case .classic:
            let encoder = try ClassicEncoder(folder, loader: WeightLoader(folder, format: format))
            kind = .classic(encoder)
            embedding = encoder.tokens
        }
        softPrompt = try SoftPrompt.stored(in: folder.path, width: embedding.width)
            .map { EmbeddingTable($0) }
    }

    /// Width of the states.
    package var width: Int { embedding.width }
    /// The number of states that every prompt has before those of its own tokens.
    package var softPromptTokens: Int { softPrompt?.rows ?? 0 }

    /// The multiplications and additions of reading a document: two per weight and token, and those
    /// of attention's two products over all pairs of tokens that see each other.
    package func operations(tokens: Int) -> Double {
        let tokens = Double(tokens + softPromptTokens)
        // Per layer the width of queries, and the share of pairs that see each other.
        let (weights, width, layers, share): (Int, Int, Int, Double)
        switch kind {
        case .embeddings: return 0
        case .encoder(let encoder):
            let configuration = encoder.configuration
            (weights, share) = (encoder.weightCount, 1)
            (width, layers) = (configuration.innerWidth, configuration.encoderLayers)
        case .t5gemma(let encoder):
            let configuration = encoder.configuration
            (weights, share) = (encoder.weightCount, 1)
            (width, layers) = (configuration.queryWidth, configuration.layers.count)
        case .classic(let encoder):
            let configuration = encoder.configuration
            (weights, share) = (encoder.weightCount, 1)
            (width, layers) = (configuration.width, configuration.encoder.layers)
        case .rotary(let encoder):
            (weights, share) = (encoder.weightCount, 0.5)
            (width, layers) = (encoder.configuration.queryWidth, encoder.depth)
        }
        return 2 * Double(weights) * tokens + 4 * Double(layers * width) * share * tokens * tokens
    }

    /// Says that many prompts begin with these tokens, so that a decoder-only model reads them once
    /// for all of them. What is handed over has the same bits as without.
    package func share(_ beginning: [Int32]) {
        if case .rotary(let encoder) = kind { encoder.beginnings.add(beginning) }
    }

    /// The number of layers of a decoder-only model that are loaded. Nil for encoders, which hand
    /// over the states of their last layer.
    package var depth: Int? {
        if case .rotary(let encoder) = kind { encoder.depth } else { nil }
    }

    /// The longest prompt that it has positions for; nil for any.
    package var maximumTokens: Int? {
        guard case .classic(let encoder) = kind else { return nil }
        return encoder.configuration.maximumPositions - softPromptTokens
    }

    /// Tokens must be below this.
    package var vocabularyRows: Int { embedding.rows }

    /// Writes the token vectors that reading starts with to `target`.
    ///
    /// - Precondition: tokens are in 0 ..< vocabularyRows.
    package func embed(_ tokens: some Collection<Int32>, into target: Rows) {
        embedding.gather(tokens, into: target)
    }

    /// Reads a batch with one projector per prompt: see `encode` with several projectors.
    package func encode(
        _ prompts: [(tokens: [Int32], projector: Projector)], workspace: Workspace
    ) -> [PromptStates] {
        encode(prompts.map { ($0.tokens, [$0.projector]) }, workspace: workspace).flatMap(\.self)
    }

    /// Reads a batch, without padding, and takes each document's states through each of its
    /// projectors.
    ///
    /// - Returns: the states per prompt and projector. The vectors of a soft prompt have states,
    ///   too.
    /// - Precondition: no prompt is empty; tokens are in 0 ..< vocabularyRows.
    package func encode(
        _ prompts: [(tokens: [Int32], projectors: [Projector])], workspace: Workspace
    ) -> [[PromptStates]] {
        workspace.scope {
            let documents = prompts.map { softPromptTokens + $0.tokens.count }.consecutiveRanges
            let states = workspace.rows(documents.last?.upperBound ?? 0, width)
            for (prompt, document) in zip(prompts, documents) {
                let start = document.lowerBound + softPromptTokens
                softPrompt?.gather(
                    0..<Int32(softPromptTokens), into: states.rows(document.lowerBound..<start))
                embedding.gather(prompt.tokens, into: states.rows(start..<document.upperBound))
            }
            switch kind {
            case .embeddings: break
            case .encoder(let encoder):
                encoder.encode(states, documents: documents, workspace: workspace)
            case .t5gemma(let encoder):
                encoder.encode(states, documents: documents, workspace: workspace)
            case .classic(let encoder):
                encoder.encode(states, documents: documents, workspace: workspace)
            case .rotary(let encoder):
                return encoder.read(
                    states, documents: documents, prompts: prompts, workspace: workspace)
            }
            return zip(prompts, documents).map { prompt, document in
                prompt.projectors.map {
                    $0.project(states.rows(document), tokens: prompt.tokens, workspace: workspace)
                }
            }
        }
    }
}
