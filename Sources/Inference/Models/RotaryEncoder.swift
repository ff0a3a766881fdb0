internal import Checkpoints

/// The reading half of a decoder-only model with rotary positions: as many of its layers as are
/// needed. Each projector of a prompt takes its states on the way through the layers.
final class RotaryEncoder: Sendable {
    let configuration: RotaryConfiguration
    let embedding: EmbeddingTable
    private let stack: RotaryStack
    /// Nil where the last layer is not loaded.
    private let norm: WeightVector?
    private let cacheFormat: WeightFormat
    let beginnings = SharedBeginnings()

    /// - Parameter depth: how many layers are loaded.
    init(_ weights: RotaryWeights, depth: Int) throws {
        configuration = weights.configuration
        embedding = weights.embedding
        cacheFormat = weights.cacheFormat
        stack = try weights.stack(depth)
        norm = depth == configuration.layers.count ? try weights.norm() : nil
    }

    /// The number of layers that are loaded.
    var depth: Int { stack.layers.count }

    /// The number of weights that every token is multiplied with.
    var weightCount: Int { stack.matrices.reduce(0) { $0 + $1.count } }

    /// Reads a batch without padding.
    ///
    /// - Parameters:
    ///   - x: input embeddings, the documents below each other at `documents`.
    ///   - prompts: the tokens of each document, and the projectors that its states go through.
    /// - Returns: the states per prompt and projector.
    func read(
        _ x: Rows, documents: [Range<Int>], prompts: [(tokens: [Int32], projectors: [Projector])],
        workspace: Workspace
    ) -> [[PromptStates]] {
        let shared = zip(prompts, documents).map { prompt, rows in
            // A prompt behind a soft prompt does not begin with the shared tokens.
            rows.count == prompt.tokens.count
                ? beginnings.find(for: prompt.tokens) { read($0, workspace: workspace) } : nil
        }
        let unread = zip(documents, shared).map { $0.count - ($1?.tokens.count ?? 0) }
        let x = x.ends(of: documents, lengths: unread, workspace: workspace)
        let readings = zip(zip(prompts, shared), unread.consecutiveRanges).map { prompt, rows in
            RotaryReading(
                tokens: prompt.0.tokens, beginning: prompt.1, rows: rows,
                wants: prompt.0.projectors.map(want), cacheFormat: cacheFormat,
                configuration: configuration)
        }
        let longest = documents.map(\.count).max() ?? 0
        let last = readings.map(\.lastLayer).max() ?? 0
        // Keys and values that no decoder goes on from are overwritten in the next layer.
        let passing = KeyValueCache(
            layers: 1, heads: configuration.keyValueHeads, headWidth: configuration.headWidth,
            positions: longest, format: cacheFormat, memory: workspace.caches)
        var states = prompts.map { [PromptStates?](repeating: nil, count: $0.projectors.count) }
        stack.read(
            x, layers: last, longest: longest,
            keysOnly: !readings.contains { $0.takesStates(after: last) }, workspace: workspace,
            documents: { layer in readings.map { $0.place(inLayer: layer, passing: passing) } },
            after: { layer in
                for (prompt, reading) in readings.enumerated() {
                    for (index, want) in reading.wants.enumerated() where want == .states(layer) {
                        states[prompt][index] = project(
                            reading, states: x, after: layer,
                            by: prompts[prompt].projectors[index], workspace: workspace)
                    }
                }
            })
        return zip(states, readings).map { states, reading in
            zip(states, reading.wants).map { $0 ?? reading.caches(for: $1) }
        }
    }

    private func want(_ projector: Projector) -> RotaryReading.Want {
        switch projector.source {
        case .own: .caches(Array(configuration.layers.indices))
        case .states(let layer): .states(layer ?? configuration.layers.count)
        case .caches(let layers): .caches(layers)
        }
    }

    /// Takes the states after a layer through a projector. Only those of the last layer pass the
    /// model's final norm.
    private func project(
        _ reading: RotaryReading, states x: Rows, after layer: Int, by projector: Projector,
        workspace: Workspace
    ) -> PromptStates {
        workspace.scope {
            var states = x.rows(reading.rows)
            if let beginning = reading.beginning {
                states = workspace.rows(reading.length, x.width)
                states.copy(from: beginning.states[layer - 1].rows(width: x.width))
                states.rows(reading.position..<reading.length).copy(from: x.rows(reading.rows))
            }
            if layer == configuration.layers.count, let norm {
                let normed = workspace.rows(states.count, states.width)
                Operators.rootMeanSquareNorm(
                    states, weight: norm, epsilon: configuration.epsilon, into: normed)
                states = normed
            }
            return projector.project(states, tokens: reading.tokens, workspace: workspace)
        }
    }

    /// Reads a beginning that prompts share, through all layers that are loaded.
    private func read(_ tokens: [Int32], workspace: Workspace) -> SharedBeginnings.Reading {
        workspace.scope {
            let x = workspace.rows(tokens.count, configuration.width)
            embedding.gather(tokens, into: x)
            let cache = KeyValueCache(
                layers: depth, heads: configuration.keyValueHeads,
                headWidth: configuration.headWidth, positions: tokens.count, format: cacheFormat,
                memory: nil)
            var states: [FloatBuffer] = []
            stack.read(
                x, layers: depth, longest: tokens.count, keysOnly: false, workspace: workspace,
                documents: {
                    [
                        RotaryDocument(
                            rows: 0..<tokens.count, position: 0, cache: cache, slot: $0, prefix: nil
                        )
                    ]
                },
                after: { _ in
                    let buffer = FloatBuffer(count: tokens.count * configuration.width)
                    buffer.rows(width: configuration.width).copy(from: x)
                    states.append(buffer)
                })
            return SharedBeginnings.Reading(tokens: tokens, cache: cache, states: states)
        }
    }
}

extension Rows {
    /// The last `lengths` rows of each document, below each other. Where these are all rows, it is
    /// `self`.
    fileprivate func ends(
        of documents: [Range<Int>], lengths: [Int], workspace: Workspace
    ) -> Rows {
        guard documents.map(\.count) != lengths else { return self }
        let ends = workspace.rows(lengths.reduce(0, +), width)
        for (document, (length, range)) in zip(documents, zip(lengths, lengths.consecutiveRanges)) {
            ends.rows(range).copy(from: rows(document.upperBound - length..<document.upperBound))
        }
        return ends
    }
}

/// One prompt while it is read.
struct RotaryReading {
    enum Want: Equatable {
        /// The states after a layer, counted from 1.
        case states(Int)
        /// The caches of these layers, counted from 0.
        case caches([Int])
    }

    let tokens: [Int32]
    /// The beginning that was read before; nil for none.
    let beginning: SharedBeginnings.Reading?
    /// The rows of the pass that are read here: those behind the beginning.
    let rows: Range<Int>
    let wants: [Want]
    /// The keys and values of layers that decoders go on from; nil where none does.
    private let cache: KeyValueCache?
    /// The layers that `cache` keeps, ascending. A layer's place in this list is its slot.
    private let keptLayers: [Int]

    init(
        tokens: [Int32], beginning: SharedBeginnings.Reading?, rows: Range<Int>, wants: [Want],
        cacheFormat: WeightFormat, configuration: RotaryConfiguration
    ) {
        self.tokens = tokens
        self.beginning = beginning
        self.rows = rows
        self.wants = wants
        keptLayers = Set(wants.flatMap(\.layers)).sorted()
        cache =
            keptLayers.isEmpty
            ? nil
            : KeyValueCache(
                layers: keptLayers.count, heads: configuration.keyValueHeads,
                headWidth: configuration.headWidth,
                positions: rows.count + (beginning?.tokens.count ?? 0), format: cacheFormat,
                memory: nil)
    }

    /// The last layer that the prompt is taken through, counted from 1.
    var lastLayer: Int {
        wants.map { want in
            switch want {
            case .states(let layer): layer
            case .caches(let layers): (layers.max() ?? 0) + 1
            }
        }.max() ?? 0
    }

    func takesStates(after layer: Int) -> Bool { wants.contains(.states(layer)) }

    /// The position of its first row in its sequence.
    var position: Int { beginning?.tokens.count ?? 0 }
    /// The number of vectors that are read, the beginning's included.
    var length: Int { position + rows.count }

    /// Where its keys and values of a layer go. The layer is counted from 0.
    func place(inLayer layer: Int, passing: KeyValueCache) -> RotaryDocument {
        let slot = cache == nil ? nil : keptLayers.firstIndex(of: layer)
        return RotaryDocument(
            rows: rows, position: position, cache: slot == nil ? passing : cache ?? passing,
            slot: slot ?? 0, prefix: beginning.map { ($0.cache, layer) })
    }

    func caches(for want: Want) -> PromptStates {
        guard let cache, let last = tokens.last else {
            preconditionFailure("\(tokens.count) tokens and no caches")
        }
        let slots = want.layers.compactMap { keptLayers.firstIndex(of: $0) }
        return PromptStates(
            tokens: length, caches: PromptCaches(cache: cache, slots: slots, lastToken: last))
    }
}

extension RotaryReading.Want {
    fileprivate var layers: [Int] {
        if case .caches(let layers) = self { layers } else { [] }
    }
}
