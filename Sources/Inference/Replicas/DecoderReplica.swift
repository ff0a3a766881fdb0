/// One decoder of a pool: it steps all the documents it holds together; a finished one leaves and
/// a waiting one joins between two steps.
///
/// Not thread-safe: used by one thread at a time. Weights are the model's and shared.
package final class DecoderReplica<ID> {
    package struct Request {
        package let id: ID
        package let states: PromptStates
        package let options: DecodingOptions

        package init(id: ID, states: PromptStates, options: DecodingOptions) {
            self.id = id
            self.states = states
            self.options = options
        }
    }

    private let model: any ResponseModel
    private let workspace = Workspace()
    private var logits = FloatBuffer(count: 0)
    private var active: [(id: ID, search: any Search)] = []

    package init(model: any ResponseModel) { self.model = model }

    /// Documents being written.
    package var count: Int { active.count }

    package var ids: [ID] { active.map(\.id) }

    /// Takes documents up; what is computed once per document is computed now.
    package func admit(_ requests: [Request]) {
        let rows = model.open(
            requests.map {
                OpenedPrompt(states: $0.states, maximumNewTokens: $0.options.maximumNewTokens)
            }, workspace: workspace)
        for (request, row) in zip(requests, rows) {
            active.append((request.id, search(row, options: request.options)))
        }
    }

    private func search(_ row: DecoderRow, options: DecodingOptions) -> any Search {
        if options.beams > 1 {
            return BeamSearch(
                row: row, startID: model.startID, endIDs: model.endIDs, options: options)
        }
        return GreedySearch(
            row: row, startID: model.startID, endIDs: model.endIDs, options: options)
    }

    /// Writes one token for every document; returns those that are complete, which leave.
    package func step() -> [(id: ID, response: Response)] {
        let rows = active.flatMap(\.search.rows)
        guard !rows.isEmpty else { return [] }
        let vocabulary = model.vocabularySize
        if logits.count < rows.count * vocabulary {
            logits = FloatBuffer(count: rows.count * vocabulary)
        }
        model.step(
            rows, tokens: active.flatMap(\.search.nextTokens), logits: logits,
            workspace: workspace)
        var finished: [(id: ID, response: Response)] = []
        var first = 0
        for index in active.indices {
            let count = active[index].search.rows.count
            let own = logits.rows(width: vocabulary).rows(first..<first + count)
            first += count
            if let response = active[index].search.advance(logits: own) {
                finished.append((active[index].id, response))
                active[index].search = EndedSearch()
            }
        }
        if !finished.isEmpty { active.removeAll { $0.search is EndedSearch } }
        return finished
    }

    /// Drops documents whose id matches.
    package func remove(where matches: (ID) -> Bool) {
        active.removeAll { matches($0.id) }
    }
}

/// Marks a document that leaves after this step.
private struct EndedSearch: Search {
    let rows: [DecoderRow] = []
    let nextTokens: [Int32] = []
    func advance(logits: Rows) -> Response? { nil }
}
