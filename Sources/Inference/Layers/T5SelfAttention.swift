internal import Checkpoints

/// x += o( softmax(q kᵀ + bias) v ), all of the normed x; no scaling by √headWidth in T5.
struct T5SelfAttention: Sendable {
    private let norm: WeightVector
    /// q, k and v side by side: [modelWidth → 3 · innerWidth]
    private let input: PackedMatrix
    private let output: PackedMatrix
    private let heads: Int
    private let headWidth: Int
    private let epsilon: Float

    /// - Parameter prefix: such as `encoder.block.0.layer.0.`.
    init(_ loader: WeightLoader, prefix: String, configuration: T5Configuration) throws {
        heads = configuration.heads
        headWidth = configuration.headWidth
        epsilon = configuration.epsilon
        let wide = [configuration.innerWidth, configuration.modelWidth]
        input = try loader.matrix(
            ["q", "k", "v"].map { prefix + "SelfAttention.\($0).weight" }, shape: wide)
        output = try loader.matrix([prefix + "SelfAttention.o.weight"], shape: wide.reversed())
        norm = try loader.vector(prefix + "layer_norm.weight", count: configuration.modelWidth)
    }

    private var innerWidth: Int { heads * headWidth }
    var matrices: [PackedMatrix] { [input, output] }

    private func project(_ x: Rows, workspace: Workspace) -> Rows {
        let projected = workspace.rows(x.count, input.columns)
        workspace.scope {
            let normed = workspace.rows(x.count, x.width)
            Operators.rootMeanSquareNorm(x, weight: norm, epsilon: epsilon, into: normed)
            Operators.multiply(normed, input, into: projected, workspace: workspace)
        }
        return projected
    }

    /// Every token attends to every token of its document.
    ///
    /// x: the documents' tokens below each other, without padding; bias: per head a row that is
    /// centred on key − query = 0.
    func apply(to x: Rows, documents: [Range<Int>], bias: Rows, workspace: Workspace) {
        // int8 attends by way of a cache, as decoders do: a quarter to a half of the products' time
        // in float32.
        let cache =
            input.format == .int8
            ? KeyValueCache(
                layers: 1, heads: heads, headWidth: headWidth,
                positions: documents.map(\.count).max() ?? 0, format: .int8,
                memory: workspace.caches) : nil
        // Some documents at a time, as many as keep their projections near.
        for group in documents.grouped(rows: 256) {
            let own = group[group.startIndex].lowerBound..<group[group.endIndex - 1].upperBound
            let block = x.rows(own)
            let inner = group.map { $0.shifted(by: -own.lowerBound) }
            workspace.scope {
                let projected = project(block, workspace: workspace)
                let mixed = workspace.rows(block.count, innerWidth)
                if let cache {
                    attend(projected, inner, cache, bias: bias, into: mixed, workspace: workspace)
                } else {
                    attend(projected, inner, bias: bias, into: mixed, workspace: workspace)
                }
                Operators.multiply(
                    mixed, output, into: block, accumulate: true, workspace: workspace)
            }
        }
    }

    private func attend(
        _ projected: Rows, _ documents: [Range<Int>], bias: Rows, into mixed: Rows,
        workspace: Workspace
    ) {
        for document in documents {
            let own = projected.rows(document)
            for head in 0..<heads {
                let columns = head * headWidth..<(head + 1) * headWidth
                Operators.attendAll(
                    query: own.columns(columns),
                    key: own.columns(columns.shifted(by: innerWidth)),
                    value: own.columns(columns.shifted(by: 2 * innerWidth)),
                    bias: bias[head] + bias.width / 2, scale: 1,
                    into: mixed.rows(document).columns(columns), workspace: workspace)
            }
        }
    }

    private func attend(
        _ projected: Rows, _ documents: [Range<Int>], _ cache: KeyValueCache, bias: Rows,
        into mixed: Rows, workspace: Workspace
    ) {
        for document in documents {
            let own = projected.rows(document)
            cache.setAll(
                layer: 0, key: own.columns(innerWidth..<2 * innerWidth),
                value: own.columns(2 * innerWidth..<3 * innerWidth))
            Operators.attend(
                query: own.columns(0..<innerWidth), cache: cache, layer: 0,
                length: document.count, scale: 1, bias: bias.base + bias.width / 2,
                biasStride: bias.stride, into: mixed.rows(document), workspace: workspace)
        }
    }

    /// One new token per row, at its position; each attends to its row's cache, which the token
    /// joins. The tokens of a row that occurs several times see those before them.
    ///
    /// bias: per head a row whose last column is for distance 0, the one before for 1, ….
    func step(
        _ x: Rows, rows: [DecoderRow], positions: [Int], layer: Int, bias: Rows,
        workspace: Workspace
    ) {
        workspace.scope {
            let projected = project(x, workspace: workspace)
            let mixed = workspace.rows(x.count, innerWidth)
            for (index, row) in rows.enumerated() {
                let query = projected[index]
                row.cache.set(
                    positions[index], layer: layer, key: query + innerWidth,
                    value: query + 2 * innerWidth)
                let length = positions[index] + 1
                Operators.attend(
                    query: projected.columns(0..<innerWidth).rows(index..<index + 1),
                    cache: row.cache, layer: layer, length: length, scale: 1,
                    bias: bias.base + (bias.width - length), biasStride: bias.stride,
                    into: mixed.rows(index..<index + 1), workspace: workspace)
            }
            Operators.multiply(mixed, output, into: x, accumulate: true, workspace: workspace)
        }
    }
}

extension [Range<Int>] {
    /// Neighbours together while they have no more than `rows` rows.
    func grouped(rows: Int) -> [ArraySlice<Range<Int>>] {
        var groups: [ArraySlice<Range<Int>>] = []
        var first = startIndex
        for index in indices
        where index + 1 == count || self[index + 1].upperBound - self[first].lowerBound > rows {
            groups.append(self[first...index])
            first = index + 1
        }
        return groups
    }
}

extension Range<Int> {
    func shifted(by offset: Int) -> Range<Int> { lowerBound + offset..<upperBound + offset }
}
