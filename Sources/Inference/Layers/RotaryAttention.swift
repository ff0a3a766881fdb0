internal import Checkpoints

/// x += o( softmax(q kᵀ · scale) v ), where q, k and v are projections of the normed x, and q and k
/// are turned by their positions. Neighbouring query heads share one head of keys and values (arXiv
/// 2305.13245).
struct RotaryAttention: Sendable {
    private let norm: WeightVector
    /// q, k and v side by side.
    private let input: Linear
    private let headNorms: (query: WeightVector, key: WeightVector)?
    private let output: Linear
    private let outputNorm: WeightVector?
    private let configuration: RotaryConfiguration
    /// How many positions a token sees before its own, and how many behind it.
    private let before: Int
    private let after: Int

    /// - Parameters:
    ///   - norm: the name of the norm of x, without `.weight`.
    ///   - outputNorm: the name of the norm of what is added to x, without `.weight`; nil for none.
    ///   - isCausal: whether tokens see no later ones. If not, a window reaches to both sides.
    init(
        _ tensors: RotaryTensors, layer: RotaryConfiguration.Layer, norm: String,
        outputNorm: String?, isCausal: Bool = true
    ) throws {
        let configuration = tensors.configuration
        self.configuration = configuration
        let (queries, keys) = (configuration.queryWidth, configuration.keyValueWidth)
        self.norm = try tensors.norm(norm)
        input = try tensors.linear(
            [
                ("self_attn.q_proj", queries), ("self_attn.k_proj", keys),
                ("self_attn.v_proj", keys),
            ],
            inner: configuration.width, hasBias: configuration.hasQueryKeyValueBias)
        output = try tensors.linear(
            [("self_attn.o_proj", configuration.width)], inner: queries,
            hasBias: configuration.hasOutputBias)
        headNorms =
            configuration.hasHeadNorms
            ? (
                query: try tensors.norm("self_attn.q_norm", width: configuration.headWidth),
                key: try tensors.norm("self_attn.k_norm", width: configuration.headWidth)
            ) : nil
        self.outputNorm = try outputNorm.map { try tensors.norm($0) }
        // A causal window counts the token itself; a window to both sides does not.
        before = layer.window.map { isCausal ? $0 - 1 : $0 } ?? .max
        after = isCausal ? 0 : before
    }

    var matrices: [PackedMatrix] { [input.weight, output.weight] }

    private var queries: Range<Int> { 0..<configuration.queryWidth }
    private var keys: Range<Int> {
        queries.upperBound..<queries.upperBound + configuration.keyValueWidth
    }
    private var values: Range<Int> {
        keys.upperBound..<keys.upperBound + configuration.keyValueWidth
    }

    /// Queries, keys and values, not yet turned.
    private func project(_ x: Rows, workspace: Workspace) -> Rows {
        let projected = workspace.rows(x.count, input.weight.columns)
        workspace.scope {
            let normed = workspace.rows(x.count, x.width)
            Operators.rootMeanSquareNorm(
                x, weight: norm, epsilon: configuration.epsilon, into: normed)
            input.apply(normed, into: projected, workspace: workspace)
        }
        if let headNorms {
            for row in 0..<projected.count {
                let own = projected.rows(row..<row + 1)
                normHeads(own.columns(queries), headNorms.query)
                normHeads(own.columns(keys), headNorms.key)
            }
        }
        return projected
    }

    private func normHeads(_ row: Rows, _ weight: WeightVector) {
        let width = configuration.headWidth
        let heads = Rows(base: row.base, count: row.width / width, width: width, stride: width)
        Operators.rootMeanSquareNorm(
            heads, weight: weight, epsilon: configuration.epsilon, into: heads)
    }

    private func turn(_ projected: Rows, angles: Rows) {
        Operators.rotate(
            projected.columns(0..<keys.upperBound), headWidth: configuration.headWidth,
            angles: angles)
    }

    private func attend(
        _ projected: Rows, _ cache: KeyValueCache, layer: Int, position: Int, length: Int,
        into mixed: Rows, workspace: Workspace
    ) {
        Operators.attend(
            query: projected.columns(queries), cache: cache, layer: layer, length: length,
            reach: .init(position: position, before: before, after: after),
            group: configuration.group, scale: configuration.attentionScale,
            cap: configuration.attentionCap, into: mixed, workspace: workspace)
    }
}

// MARK: Reading

extension RotaryAttention {
    /// Attention within documents, whose tokens lie below each other without padding. Each
    /// document's keys and values are written to its cache.
    ///
    /// - Parameters:
    ///   - angles: those of the positions from 0 on.
    ///   - keysOnly: whether only keys and values are computed, and x stays as it is.
    func apply(
        to x: Rows, documents: [RotaryDocument], angles: Rows, keysOnly: Bool = false,
        workspace: Workspace
    ) {
        // As many documents at a time as keep their projections in the processor's caches.
        for group in documents.map(\.rows).grouped(rows: 256) {
            let own = group[group.startIndex].lowerBound..<group[group.endIndex - 1].upperBound
            let block = x.rows(own)
            workspace.scope {
                let projected = project(block, workspace: workspace)
                let mixed = workspace.rows(keysOnly ? 0 : block.count, configuration.queryWidth)
                for document in documents[group.indices] {
                    let rows = document.rows.shifted(by: -own.lowerBound)
                    let tokens = projected.rows(rows)
                    let end = document.position + rows.count
                    turn(tokens, angles: angles.rows(document.position..<end))
                    document.copyPrefix()
                    document.cache.set(
                        document.position, layer: document.slot, key: tokens.columns(keys),
                        value: tokens.columns(values))
                    guard !keysOnly else { continue }
                    attend(
                        tokens, document.cache, layer: document.slot, position: document.position,
                        length: end, into: mixed.rows(rows), workspace: workspace)
                }
                guard !keysOnly else { return }
                output.add(
                    mixed, to: block, norm: outputNorm, epsilon: configuration.epsilon,
                    workspace: workspace)
            }
        }
    }
}

// MARK: Writing

extension RotaryAttention {
    /// Attention of one new token per row, at its position. The token joins the row's cache, then
    /// attends to it. A row may occur several times: each of its tokens sees those before it.
    ///
    /// - Parameter angles: those of each row's position.
    func step(
        _ x: Rows, rows: [DecoderRow], positions: [Int], layer: Int, angles: Rows,
        workspace: Workspace
    ) {
        workspace.scope {
            let projected = project(x, workspace: workspace)
            turn(projected, angles: angles)
            let mixed = workspace.rows(x.count, configuration.queryWidth)
            for (index, row) in rows.enumerated() {
                let token = projected.rows(index..<index + 1)
                row.cache.set(
                    positions[index], layer: layer, key: token.columns(keys),
                    value: token.columns(values))
                attend(
                    token, row.cache, layer: layer, position: positions[index],
                    length: positions[index] + 1, into: mixed.rows(index..<index + 1),
                    workspace: workspace)
            }
            output.add(
                mixed, to: x, norm: outputNorm, epsilon: configuration.epsilon,
                workspace: workspace)
        }
    }
}

/// One document of a reading pass, in one layer.
struct RotaryDocument {
    /// The rows of the pass that belong to this sequence.
    let rows: Range<Int>
    /// The position of its first row in its sequence: the tokens before it were read earlier.
    let position: Int
    /// Its keys and values go to this layer (`slot`) of `cache`.
    let cache: KeyValueCache
    let slot: Int
    /// The keys and values of what stands before its first row, unless they are there already.
    let prefix: (cache: KeyValueCache, slot: Int)?

    fileprivate func copyPrefix() {
        guard let prefix, position > 0 else { return }
        cache.copy(position, layer: slot, from: prefix.cache, layer: prefix.slot)
    }
}
