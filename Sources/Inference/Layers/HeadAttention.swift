internal import Checkpoints

/// Attention over queries, keys and values that were projected side by side: what the families of
/// encoders and decoders have in common.
struct HeadAttention: Sendable {
    let heads: Int
    let headWidth: Int
    /// Scores are multiplied by it.
    let scale: Float
    /// int8 attends by way of a cache: a quarter to a half of the products' time in float32.
    let format: WeightFormat

    /// Width of the queries of all heads, of the keys, and of the values.
    var width: Int { heads * headWidth }

    /// Every token attends to every token of its document.
    ///
    /// - Parameters:
    ///   - x: the documents' tokens below each other, without padding.
    ///   - bias: per head a row that is centred on key − query = 0.
    ///   - project: makes [q | k | v] of a block of x.
    ///   - finish: takes what the heads found in a block, and the block.
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
        // Some documents at a time, as many as keep their projections near.
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

    /// One new token per row, at its position: it joins the row's cache and attends to what is
    /// there. The tokens of a row that occurs several times see those before them.
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

    /// Keys and values of a document for cross-attention, once. projected: [k | v] of each token.
    func prepare(_ cache: KeyValueCache, layer: Int, projected: Rows) {
        cache.setAll(
            layer: layer, key: projected.columns(0..<width),
            value: projected.columns(width..<2 * width))
    }

    /// Each row's query attends to the document of its row.
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
