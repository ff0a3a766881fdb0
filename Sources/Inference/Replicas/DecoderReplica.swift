/// One decoder of a pool: it steps all the documents it holds together; a finished one leaves and
/// a waiting one joins between two steps.
///
/// Not thread-safe: used by one thread at a time. Weights are the model's and shared.
package final class DecoderReplica<ID> {
    package struct Request {
        package let id: ID
        package let states: PromptStates
        package let options: DecodingOptions
        /// The model's own, or one made from it; nil for its own.
        package let head: OutputHead?

        package init(
            id: ID, states: PromptStates, options: DecodingOptions, head: OutputHead? = nil
        ) {
            self.id = id
            self.states = states
            self.options = options
            self.head = head
        }
    }

    private let model: any ResponseModel
    private let workspace = Workspace()
    private var hidden = FloatBuffer(count: 0)
    private var groups: [ResponseGroup<ID>] = []

    package init(model: any ResponseModel) { self.model = model }

    /// Documents being written.
    package var ids: [ID] { groups.flatMap(\.ids) }

    package var count: Int { ids.count }

    /// Rows that its documents may come to have: a beam search takes as many as it has beams.
    package var rowCapacity: Int { groups.reduce(0) { $0 + $1.capacity } }

    /// Takes documents up; what is computed once per document is computed now.
    package func admit(_ requests: [Request]) {
        let rows = model.open(
            requests.map {
                OpenedPrompt(states: $0.states, maximumNewTokens: $0.options.maximumNewTokens)
            }, workspace: workspace)
        for (request, row) in zip(requests, rows) {
            let head = request.head ?? model.head
            let group = groups.firstIndex { $0.head === head } ?? groups.count
            if group == groups.count { groups.append(ResponseGroup(head: head)) }
            groups[group].admit(request.id, row: row, options: request.options)
        }
    }

    /// Writes one token for every document; returns those that are complete, which leave.
    package func step() -> [(id: ID, response: Response)] {
        let rows = groups.map(\.rows)
        let ranges = rows.map(\.count).consecutiveRanges
        guard let count = ranges.last?.upperBound else { return [] }
        let width = model.stateWidth
        if hidden.count < count * width { hidden = FloatBuffer(count: count * width) }
        model.step(
            Array(rows.joined()), tokens: groups.flatMap(\.nextTokens), into: hidden,
            workspace: workspace)
        let states = hidden.rows(width: width)
        var finished: [(id: ID, response: Response)] = []
        for (group, range) in ranges.enumerated() {
            finished += groups[group].advance(states.rows(range), workspace: workspace)
        }
        groups.removeAll(where: \.ids.isEmpty)
        return finished
    }

    /// Drops documents whose id matches.
    package func remove(where matches: (ID) -> Bool) {
        for group in groups.indices { groups[group].remove(where: matches) }
        groups.removeAll(where: \.ids.isEmpty)
    }
}
