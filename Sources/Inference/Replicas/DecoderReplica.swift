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
    private var hidden = FloatBuffer(count: 0)
    private var greedy: [(id: ID, search: GreedySearch)] = []
    private var beams: [(id: ID, search: BeamSearch)] = []

    package init(model: any ResponseModel) { self.model = model }

    /// Documents being written.
    package var count: Int { greedy.count + beams.count }

    package var ids: [ID] { greedy.map(\.id) + beams.map(\.id) }

    /// Takes documents up; what is computed once per document is computed now.
    package func admit(_ requests: [Request]) {
        let rows = model.open(
            requests.map {
                OpenedPrompt(states: $0.states, maximumNewTokens: $0.options.maximumNewTokens)
            }, workspace: workspace)
        for (request, row) in zip(requests, rows) {
            if request.options.beams > 1 {
                let search = BeamSearch(row: row, head: model.head, options: request.options)
                beams.append((request.id, search))
            } else {
                let search = GreedySearch(row: row, head: model.head, options: request.options)
                greedy.append((request.id, search))
            }
        }
    }

    /// Writes one token for every document; returns those that are complete, which leave.
    package func step() -> [(id: ID, response: Response)] {
        let rows = greedy.map(\.search.row) + beams.flatMap(\.search.rows)
        guard !rows.isEmpty else { return [] }
        let width = model.stateWidth
        if hidden.count < rows.count * width { hidden = FloatBuffer(count: rows.count * width) }
        model.step(
            rows,
            tokens: greedy.map(\.search.nextToken) + beams.flatMap(\.search.nextTokens),
            into: hidden, workspace: workspace)
        let states = hidden.rows(width: width)
        return advanceGreedy(states.rows(0..<greedy.count))
            + advanceBeams(states.rows(greedy.count..<rows.count))
    }

    private func advanceGreedy(_ states: Rows) -> [(id: ID, response: Response)] {
        let tokens = model.head.best(
            states, mayEnd: greedy.map(\.search.mayEnd), workspace: workspace)
        var finished: [(id: ID, response: Response)] = []
        var going: [(id: ID, search: GreedySearch)] = []
        for (var document, token) in zip(greedy, tokens) {
            if let response = document.search.advance(token) {
                finished.append((document.id, response))
            } else {
                going.append(document)
            }
        }
        greedy = going
        return finished
    }

    private func advanceBeams(_ states: Rows) -> [(id: ID, response: Response)] {
        guard !beams.isEmpty else { return [] }
        return workspace.scope {
            let logits = workspace.rows(states.count, model.head.vocabularySize)
            model.head.logits(states, into: logits, workspace: workspace)
            var finished: [(id: ID, response: Response)] = []
            var going: [(id: ID, search: BeamSearch)] = []
            var first = 0
            for var document in beams {
                let own = first..<first + document.search.rows.count
                first = own.upperBound
                if let response = document.search.advance(logits: logits.rows(own)) {
                    finished.append((document.id, response))
                } else {
                    going.append(document)
                }
            }
            beams = going
            return finished
        }
    }

    /// Drops documents whose id matches.
    package func remove(where matches: (ID) -> Bool) {
        greedy.removeAll { matches($0.id) }
        beams.removeAll { matches($0.id) }
    }
}
