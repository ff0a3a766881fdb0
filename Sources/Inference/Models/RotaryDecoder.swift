package import Checkpoints

/// A decoder-only model with rotary positions as the decoder. It goes on from the keys and values
/// that reading left, or takes states as the beginning of its sequence.
package final class RotaryDecoder: DecoderModel {
    private let configuration: RotaryConfiguration
    private let embedding: EmbeddingTable
    private let stack: RotaryStack
    private let norm: WeightVector
    package let head: OutputHead
    private let cacheFormat: WeightFormat

    /// - Throws: `CheckpointError` for missing tensors and wrong shapes.
    package convenience init(
        _ folder: ModelFolder, format: WeightFormat = .float32, pool: WeightPool = WeightPool()
    ) throws {
        let configuration = try folder.configuration(
            of: \.rotary, "a decoder-only model with rotary positions")
        try self.init(pool.rotary(folder, configuration, format: format))
    }

    /// A small model that consists of some layers of a large one, trained further. It goes on from
    /// the keys and values that reading left in these layers. Its embedding, final norm and head
    /// are the large model's where its folder has none.
    ///
    /// - Parameters:
    ///   - folder: the small model, whose layers are numbered from 0 in the order of `layers`.
    ///   - layers: the layers of `llm`, counted from 0.
    /// - Throws: `InferenceError` where its sizes are not those of the large model.
    package convenience init(
        cut folder: ModelFolder, layers: [Int], of llm: ModelFolder,
        format: WeightFormat = .float32, pool: WeightPool = WeightPool()
    ) throws {
        guard case .rotary(let own) = folder.configuration,
            case .rotary(let large) = llm.configuration
        else {
            throw InferenceError.wrongModel(
                path: folder.path, expected: "layers of a decoder-only LLM",
                found: "\(folder.configuration.name) of \(llm.configuration.name)")
        }
        guard own.continues(large, layers: layers) else {
            throw InferenceError.wrongModel(
                path: folder.path + "/config.json",
                expected: "the sizes, heads, windows and rotary positions of layers \(layers) of "
                    + llm.path, found: "others")
        }
        let base = try pool.rotary(llm, large, format: format)
        try self.init(
            RotaryWeights(own, loader: WeightLoader(folder, format: format), base: base))
    }

    init(_ weights: RotaryWeights) throws {
        configuration = weights.configuration
        embedding = weights.embedding
        stack = try weights.stack(configuration.layers.count)
        norm = try weights.norm()
        head = try weights.head()
        cacheFormat = weights.cacheFormat
    }

    package var stateWidth: Int { configuration.width }
    package var maximumPositions: Int? { configuration.positions }

    package func stepCost(sourceTokens: Int, position: Int, head: OutputHead) -> StepCost {
        StepCost(
            matrices: stack.matrices + [head.weights], layers: stack.layers.count,
            width: configuration.keyValueWidth, positions: sourceTokens + position + 1,
            cacheFormat: cacheFormat)
    }

    package func open(_ prompts: [OpenedPrompt], workspace: Workspace) -> [DecoderRow] {
        let rows = prompts.map { open($0, workspace: workspace) }
        readStates(prompts, rows: rows, workspace: workspace)
        return rows
    }

    private func open(_ prompt: OpenedPrompt, workspace: Workspace) -> DecoderRow {
        let count = prompt.states.tokens
        let cache = KeyValueCache(
            layers: stack.layers.count, heads: configuration.keyValueHeads,
            headWidth: configuration.headWidth, positions: count + prompt.maximumNewTokens,
            format: cacheFormat, memory: workspace.caches)
        let first = FloatBuffer(count: configuration.width)
        let input = first.rows(width: configuration.width)
        if let caches = prompt.states.caches {
            // The last token is read once more, because its hidden state was not handed over.
            for (layer, slot) in caches.slots.enumerated() {
                cache.copy(count - 1, layer: layer, from: caches.cache, layer: slot)
            }
            embedding.gather([caches.lastToken], into: input)
        } else {
            input.copy(from: prompt.states.rows.rows(count - 1..<count))
        }
        return DecoderRow(cache: cache, source: nil, position: count - 1, firstInput: first)
    }

    /// Reads states that were handed over, as the beginnings of the rows' sequences, in one pass.
    /// The last state of each row is the input of the row's first step.
    private func readStates(_ prompts: [OpenedPrompt], rows: [DecoderRow], workspace: Workspace) {
        let unread = zip(prompts, rows).filter {
            $0.0.states.caches == nil && $0.0.states.tokens > 1
        }
        guard !unread.isEmpty else { return }
        workspace.scope {
            let ranges = unread.map { $0.0.states.tokens - 1 }.consecutiveRanges
            let x = workspace.rows(ranges.last?.upperBound ?? 0, configuration.width)
            for ((prompt, _), range) in zip(unread, ranges) {
                x.rows(range).copy(from: prompt.states.rows.rows(0..<range.count))
            }
            stack.read(
                x, layers: stack.layers.count, longest: ranges.map(\.count).max() ?? 0,
                keysOnly: true, workspace: workspace,
                documents: { layer in
                    zip(unread, ranges).map { entry, range in
                        RotaryDocument(
                            rows: range, position: 0, cache: entry.1.cache, slot: layer,
                            prefix: nil)
                    }
                })
        }
    }

    package func step(
        _ rows: [DecoderRow], tokens: [Int32], into hidden: FloatBuffer, workspace: Workspace
    ) {
        workspace.scope {
            let x = workspace.rows(rows.count, configuration.width)
            embedding.gather(tokens, into: x)
            x.takeFirstInputs(of: rows)
            stack.step(x, rows: rows, workspace: workspace)
            Operators.rootMeanSquareNorm(
                x, weight: norm, epsilon: configuration.epsilon,
                into: hidden.rows(width: configuration.width).rows(0..<rows.count))
        }
    }
}

extension RotaryConfiguration {
    /// Whether the layers of this model can go on from the keys and values of these layers of
    /// `large`.
    fileprivate func continues(_ large: RotaryConfiguration, layers indices: [Int]) -> Bool {
        indices.allSatisfy(large.layers.indices.contains)
            && layers == indices.map { large.layers[$0] } && family == large.family
            && (width, heads, keyValueHeads, headWidth)
                == (large.width, large.heads, large.keyValueHeads, large.headWidth)
            && feedForwardWidth == large.feedForwardWidth && attentionCap == large.attentionCap
            && (epsilon, attentionScale, embeddingScale)
                == (large.epsilon, large.attentionScale, large.embeddingScale)
    }
}
