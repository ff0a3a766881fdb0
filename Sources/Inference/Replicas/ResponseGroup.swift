/// The documents of a replica whose tokens come from the same output head.
struct ResponseGroup<ID> {
    let head: OutputHead
    /// These need no more than the most likely token.
    private var greedy: [(id: ID, draft: Draft)] = []
    private var searches: [(id: ID, search: any LogitSearch, capacity: Int)] = []

    init(head: OutputHead) { self.head = head }

    var ids: [ID] { greedy.map(\.id) + searches.map(\.id) }
    /// Rows that its documents may come to have.
    var capacity: Int { greedy.count + searches.reduce(0) { $0 + $1.capacity } }

    var rows: [DecoderRow] { greedy.map(\.draft.row) + searches.flatMap(\.search.rows) }
    var nextTokens: [Int32] {
        greedy.map(\.draft.nextToken) + searches.flatMap(\.search.nextTokens)
    }

    mutating func admit(_ id: ID, row: DecoderRow, options: DecodingOptions) {
        if options.beams > 1 {
            let search = BeamSearch(row: row, head: head, options: options)
            searches.append((id, search, options.beams))
        } else if let sampling = options.sampling {
            let search = SampledSearch(row: row, head: head, options: options, sampling: sampling)
            searches.append((id, search, 1))
        } else {
            greedy.append((id, Draft(row: row, head: head, options: options)))
        }
    }

    mutating func remove(where matches: (ID) -> Bool) {
        greedy.removeAll { matches($0.id) }
        searches.removeAll { matches($0.id) }
    }

    /// Adds a token to every document, from the hidden states of `rows`; returns those that are
    /// complete, which leave.
    mutating func advance(
        _ states: Rows, workspace: Workspace
    ) -> [(id: ID, response: Response)] {
        let split = greedy.count
        return advanceGreedy(states.rows(0..<split), workspace: workspace)
            + advanceSearches(states.rows(split..<states.count), workspace: workspace)
    }

    private mutating func advanceGreedy(
        _ states: Rows, workspace: Workspace
    ) -> [(id: ID, response: Response)] {
        guard !greedy.isEmpty else { return [] }
        let tokens = head.best(
            states, forbidden: greedy.map(\.draft.forbidden), workspace: workspace)
        var finished: [(id: ID, response: Response)] = []
        var going: [(id: ID, draft: Draft)] = []
        for (var document, token) in zip(greedy, tokens) {
            if let response = document.draft.advance(token) {
                finished.append((document.id, response))
            } else {
                going.append(document)
            }
        }
        greedy = going
        return finished
    }

    private mutating func advanceSearches(
        _ states: Rows, workspace: Workspace
    ) -> [(id: ID, response: Response)] {
        guard !searches.isEmpty else { return [] }
        return workspace.scope {
            let logits = workspace.rows(states.count, head.columns)
            head.logits(states, into: logits, workspace: workspace)
            var finished: [(id: ID, response: Response)] = []
            var going: [(id: ID, search: any LogitSearch, capacity: Int)] = []
            var first = 0
            for var document in searches {
                let own = first..<first + document.search.rows.count
                first = own.upperBound
                if let response = document.search.advance(logits: logits.rows(own)) {
                    finished.append((document.id, response))
                } else {
                    going.append(document)
                }
            }
            searches = going
            return finished
        }
    }
}
