internal import Checkpoints

/// Attention over queries, keys and values that were projected side by side. T5 and the classic
/// transformers share it.
struct HeadAttention: Sendable {
    let heads: Int
    let headWidth: Int
    /// Scores are multiplied by it.
    let scale: Float
    /// In int8, encoders attend through a cache, too: the products take a quarter to a half of
    /// their time in float32.
    let format: WeightFormat

    /// Width of the queries of all heads, of the keys, and of the values.
    var width: Int { heads * headWidth }

    /// Every token attends to every token of its document.
    ///
    /// - Parameters:
    ///   - x: the documents' tokens below each other, without padding.
    ///   - bias: per head a row of biases by key − query, with 0 in the middle.
    ///   - project: makes [q | k | v] of a block of x.
    ///   - finish: is given what the heads found in a block, and the block.
    func overDocuments(
        _ x: Rows, _ documents: [Range<Int>], bias: Rows?, workspace: Workspace,
        project: (Rows) -> Rows, finish: (_ mixed: Rows, _ block: Rows) -> Void
    ) {
        let cache =
            format == .int8
            ? KeyValueCache(
                layers: 1, heads: heads, headWidth: headWidth,
                positions: documents.map(\.count).max() ?? 0, format: .int8,
                memory: workspace.caches) : nil
        // As many documents at a time as keep their projections in the processor's caches.
        for group in documents.grouped(rows: 256) {
            let own = group[group.startIndex].lowerBound..<group[group.endIndex - 1].upperBound
            let block = x.rows(own)
            workspace.scope {
                let projected = project(block)
                let mixed = workspace.rows(block.count, width)
                for document in group {
                    let rows = document.shifted(by: -own.lowerBound)
                    attend(
                        projected.rows(rows), cache, bias: bias, into: mixed.rows(rows),
                        workspace: workspace)
                }
                finish(mixed, block)
            }
        }
    }

    private func attend(
        _ projected: Rows, _ cache: KeyValueCache?, bias: Rows?, into mixed: Rows,
        workspace: Workspace
    ) {
        let centre = bias.map { $0.base + $0.width / 2 }
        let stride = bias?.stride ?? 0
        if let cache {
            cache.setAll(
                layer: 0, key: projected.columns(width..<2 * width),
                value: projected.columns(2 * width..<3 * width))
            Operators.attend(
                query: projected.columns(0..<width), cache: cache, layer: 0,
                length: projected.count, scale: scale, bias: centre, biasStride: stride,
                into: mixed, workspace: workspace)
            return
        }
        workspace.share(heads) { head, workspace in
            let columns = head * headWidth..<(head + 1) * headWidth
            Operators.attendAll(
                query: projected.columns(columns),
                key: projected.columns(columns.shifted(by: width)),
                value: projected.columns(columns.shifted(by: 2 * width)),
                bias: centre.map { $0 + head * stride }, scale: scale,
                into: mixed.columns(columns), workspace: workspace)
        }
    }

    /// Attention of one new token per row, at its position. The token joins the row's cache, then
    /// attends to it. A row may occur several times: each of its tokens sees those before it.
    ///
    /// - Parameters:
    ///   - projected: [q | k | v] of each token.
    ///   - bias: per head a row whose last column is for distance 0, the one before for 1, ….
    func step(
        _ projected: Rows, rows: [DecoderRow], positions: [Int], layer: Int, bias: Rows?,
        into mixed: Rows, workspace: Workspace
    ) {
        for (index, row) in rows.enumerated() {
            let query = projected[index]
            row.cache.set(
                positions[index], layer: layer, key: query + width, value: query + 2 * width)
            let length = positions[index] + 1
            Operators.attend(
                query: projected.columns(0..<width).rows(index..<index + 1), cache: row.cache,
                layer: layer, length: length, scale: scale,
                bias: bias.map { $0.base + ($0.width - length) }, biasStride: bias?.stride ?? 0,
                into: mixed.rows(index..<index + 1), workspace: workspace)
        }
    }

    /// Stores the keys and values of a document for cross-attention, once for all steps.
    /// projected: [k | v] of each token.
    func prepare(_ cache: KeyValueCache, layer: Int, projected: Rows) {
        cache.setAll(
            layer: layer, key: projected.columns(0..<width),
            value: projected.columns(width..<2 * width))
    }

    /// Cross-attention: each row's query attends to the row's document.
    func overSources(
        _ queries: Rows, rows: [DecoderRow], layer: Int, into mixed: Rows, workspace: Workspace
    ) {
        for (index, row) in rows.enumerated() {
            guard let source = row.source else { continue }
            let own = index..<index + 1
            Operators.attend(
                query: queries.rows(own), cache: source.cache, layer: layer,
                length: source.tokens, scale: scale, bias: nil, biasStride: 0,
                into: mixed.rows(own), workspace: workspace)
        }
    }
}

extension [Range<Int>] {
    /// Groups of neighbouring documents, each of at most `rows` rows unless one document has more.
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
