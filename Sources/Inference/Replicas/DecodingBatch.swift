/// The documents of a replica whose tokens come from the same output head.
struct DecodingBatch {
    let head: OutputHead
    /// The head of the small model, where one proposes.
    let draftHead: OutputHead?
    /// The documents that need no more than the most likely token.
    private var greedy: [(id: Int, search: GreedySearch)] = []
    private var searches: [(id: Int, search: any LogitSearch, capacity: Int)] = []

    init(head: OutputHead, draftHead: OutputHead?) {
        self.head = head
        self.draftHead = draftHead
    }

    /// The number of documents.
    var count: Int { greedy.count + searches.count }
    /// The most rows that its documents may come to have.
    var capacity: Int { greedy.count + searches.reduce(0) { $0 + $1.capacity } }

    /// The row that takes each of `nextTokens` in the next pass.
    var rows: [DecoderRow] {
        greedy.flatMap { repeatElement($0.search.row, count: $0.search.inputs.count) }
            + searches.flatMap(\.search.rows)
    }
    var nextTokens: [Int32] {
        greedy.flatMap(\.search.inputs) + searches.flatMap(\.search.nextTokens)
    }

    mutating func admit(
        _ id: Int, row: DecoderRow, options: DecodingOptions, speculation: Speculation?
    ) {
        if options.beams > 1 {
            let search = BeamSearch(row: row, head: head, options: options)
            searches.append((id, search, options.beams))
        } else if let sampling = options.sampling {
            let search = SampledSearch(row: row, head: head, options: options, sampling: sampling)
            searches.append((id, search, 1))
        } else if options.measuresConfidence {
            let search = ConfidentSearch(row: row, head: head, options: options)
            searches.append((id, search, 1))
        } else {
            let search = GreedySearch(
                row: row, head: head, options: options, speculation: speculation)
            greedy.append((id, search))
        }
    }

    mutating func remove(where matches: (Int) -> Bool) {
        greedy.removeAll { matches($0.id) }
        searches.removeAll { matches($0.id) }
    }

    /// Lets the small model propose what follows, token after token for all documents together.
    mutating func propose(
        with model: any DecoderModel, into hidden: inout FloatBuffer, workspace: Workspace
    ) {
        guard let draftHead else { return }
        var going = greedy.indices.filter { greedy[$0].search.wantsProposal }
        while !going.isEmpty {
            let unread = going.map { greedy[$0].search.unreadBySpeculation }
            let rows = zip(going, unread).flatMap { index, tokens in
                tokens.compactMap { _ in greedy[index].search.speculation?.row }
            }
            hidden = hidden.grown(to: rows.count * model.hiddenWidth)
            model.step(rows, tokens: Array(unread.joined()), into: hidden, workspace: workspace)
            let states = hidden.rows(width: model.hiddenWidth)
            let tokens = workspace.scope {
                let last = workspace.rows(going.count, model.hiddenWidth)
                for (row, range) in unread.map(\.count).consecutiveRanges.enumerated() {
                    last.rows(row..<row + 1).copy(
                        from: states.rows(range.upperBound - 1..<range.upperBound))
                }
                return draftHead.best(
                    last, forbidden: going.map { greedy[$0].search.forbiddenNext },
                    workspace: workspace)
            }
            going = zip(going, tokens).compactMap { index, token in
                guard let token else { return nil }
                greedy[index].search.propose(token)
                return greedy[index].search.wantsProposal ? index : nil
            }
        }
    }

    /// Adds tokens to every document, from the hidden states of `rows`. Documents that are complete
    /// are returned, and leave the batch.
    mutating func advance(
        _ states: Rows, workspace: Workspace
    ) -> [(id: Int, response: Response)] {
        let split = greedy.reduce(0) { $0 + $1.search.inputs.count }
        return advanceGreedy(states.rows(0..<split), workspace: workspace)
            + advanceSearches(states.rows(split..<states.count), workspace: workspace)
    }

    private mutating func advanceGreedy(
        _ states: Rows, workspace: Workspace
    ) -> [(id: Int, response: Response)] {
        guard !greedy.isEmpty else { return [] }
        let choices = head.best(
            states, forbidden: greedy.flatMap(\.search.forbidden), workspace: workspace)
        let ranges = greedy.map(\.search.inputs.count).consecutiveRanges
        var finished: [(id: Int, response: Response)] = []
        // In place, so that no token copies what was written before it.
        var going = 0
        for (index, range) in ranges.enumerated() {
            if let response = greedy[index].search.advance(choices[range]) {
                finished.append((greedy[index].id, response))
            } else {
                greedy.swapAt(going, index)
                going += 1
            }
        }
        greedy.removeSubrange(going...)
        return finished
    }

    private mutating func advanceSearches(
        _ states: Rows, workspace: Workspace
    ) -> [(id: Int, response: Response)] {
        guard !searches.isEmpty else { return [] }
        return workspace.scope {
            let logits = workspace.rows(states.count, head.columns)
            head.logits(states, into: logits, workspace: workspace)
            var finished: [(id: Int, response: Response)] = []
            var going: [(id: Int, search: any LogitSearch, capacity: Int)] = []
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
