/// One decoder of a pool: it steps all the documents it holds together; a finished one leaves and
/// a waiting one joins between two steps.
///
/// Not thread-safe: used by one thread at a time. Weights are the model's and shared.
package final class DecoderReplica {
    package struct Request {
        /// The caller's name for the document, given back with its response. Not a generic: nothing
        /// is specialized across modules, and a third of a small model's step went into that.
        package let id: Int
        package let states: PromptStates
        package let options: DecodingOptions
        /// The model's own, or one made from it; nil for its own.
        package let head: OutputHead?
        /// For the replica's draft model; nil where none proposes. For greedy choices only.
        package let draft: DraftRequest?

        package init(
            id: Int, states: PromptStates, options: DecodingOptions, head: OutputHead? = nil,
            draft: DraftRequest? = nil
        ) {
            self.id = id
            self.states = states
            self.options = options
            self.head = head
            self.draft = draft
        }

        /// At most so many tokens are given to a decoder or written by it.
        fileprivate var newTokens: Int { options.decoderPrompt.count + options.maximumNewTokens }
    }

    private let model: any DecoderModel
    private let draftModel: (any DecoderModel)?
    private let workspace = Workspace()
    private var hidden = FloatBuffer(count: 0)
    private var batches: [DecodingBatch] = []

    /// - Parameter draftModel: what proposes tokens in speculative decoding; it and `model` mean
    ///   the same by a token.
    package init(model: any DecoderModel, draftModel: (any DecoderModel)? = nil) {
        self.model = model
        self.draftModel = draftModel
    }

    /// Those who help the thread that uses the replica.
    package var crew: Crew? {
        get { workspace.crew }
        set { workspace.crew = newValue }
    }

    /// Documents being written.
    package var count: Int { batches.reduce(0) { $0 + $1.count } }

    /// Rows that its documents may come to have: a beam search takes as many as it has beams.
    package var rowCapacity: Int { batches.reduce(0) { $0 + $1.capacity } }

    /// Takes documents up; what is computed once per document is computed now.
    package func admit(_ requests: [Request]) {
        let rows = model.open(
            requests.map { OpenedPrompt(states: $0.states, maximumNewTokens: $0.newTokens) },
            workspace: workspace)
        let speculations = speculations(requests)
        for (index, request) in requests.enumerated() {
            let head = request.head ?? model.head
            let draftHead = request.draft?.head
            let batch =
                batches.firstIndex { $0.head === head && $0.draftHead === draftHead }
                ?? batches.count
            if batch == batches.count {
                batches.append(DecodingBatch(head: head, draftHead: draftHead))
            }
            batches[batch].admit(
                request.id, row: rows[index], options: request.options,
                speculation: speculations[index])
        }
        takeDecoderPrompts(requests, rows)
    }

    /// Gives the decoder what it is to go on from, all documents' in one pass: all but the last
    /// token, which the first step takes.
    private func takeDecoderPrompts(_ requests: [Request], _ opened: [DecoderRow]) {
        var rows: [DecoderRow] = []
        var tokens: [Int32] = []
        for (request, row) in zip(requests, opened) where !request.options.decoderPrompt.isEmpty {
            let head = request.head ?? model.head
            tokens += [head.startID] + request.options.decoderPrompt.dropLast()
            rows += repeatElement(row, count: request.options.decoderPrompt.count)
        }
        guard !rows.isEmpty else { return }
        hidden = hidden.grown(to: rows.count * model.hiddenWidth)
        model.step(rows, tokens: tokens, into: hidden, workspace: workspace)
    }

    private func speculations(_ requests: [Request]) -> [Speculation?] {
        guard let draftModel else { return requests.map { _ in nil } }
        var rows = draftModel.open(
            requests.compactMap { request in
                request.draft.map {
                    OpenedPrompt(states: $0.states, maximumNewTokens: request.newTokens)
                }
            }, workspace: workspace
        )[...]
        return requests.map { request in
            guard let draft = request.draft, let row = rows.popFirst() else { return nil }
            return Speculation(
                row: row, opening: [draft.head.startID] + request.options.decoderPrompt,
                length: draft.length)
        }
    }

    /// Writes at least one token for every document; returns those that are complete, which leave.
    package func step() -> [(id: Int, response: Response)] {
        if let draftModel {
            for batch in batches.indices {
                batches[batch].propose(with: draftModel, into: &hidden, workspace: workspace)
            }
        }
        let rows = batches.map(\.rows)
        let ranges = rows.map(\.count).consecutiveRanges
        guard let count = ranges.last?.upperBound else { return [] }
        let width = model.hiddenWidth
        hidden = hidden.grown(to: count * width)
        model.step(
            Array(rows.joined()), tokens: batches.flatMap(\.nextTokens), into: hidden,
            workspace: workspace)
        let states = hidden.rows(width: width)
        var finished: [(id: Int, response: Response)] = []
        for (batch, range) in ranges.enumerated() {
            finished += batches[batch].advance(states.rows(range), workspace: workspace)
        }
        batches.removeAll { $0.count == 0 }
        return finished
    }

    /// Drops documents whose id matches.
    package func remove(where matches: (Int) -> Bool) {
        for batch in batches.indices { batches[batch].remove(where: matches) }
        batches.removeAll { $0.count == 0 }
    }
}

/// What the draft model of a replica needs for a document.
package struct DraftRequest: Sendable {
    package let states: PromptStates
    /// Its own, or one made from it.
    package let head: OutputHead
    /// Tokens that it proposes at a time, at most.
    package let length: Int

    package init(states: PromptStates, head: OutputHead, length: Int) {
        self.states = states
        self.head = head
        self.length = length
    }
}
