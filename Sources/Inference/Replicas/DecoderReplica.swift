/// One decoder of a pool. It steps all its documents together. Between two steps, finished
/// documents leave and waiting ones join.
///
/// Not thread-safe: used by one thread at a time. Weights are the model's and shared.
package final class DecoderReplica {
    package struct Request {
        /// The caller's name for the document, given back with its response. It is not of a generic
        /// type, because generics are not specialized across modules: that took a third of a small
        /// model's step.
        package let id: Int
        package let states: PromptStates
        package let options: DecodingOptions
        /// A head that was made from the model's; nil for the model's own.
        package let head: OutputHead?
        /// What the draft model needs; nil where none proposes. Only greedy choices use it.
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

        /// The most tokens that the decoder is given or writes.
        fileprivate var newTokens: Int { options.decoderPrompt.count + options.maximumNewTokens }
    }

    private let model: any DecoderModel
    private let draftModel: (any DecoderModel)?
    private let workspace = Workspace()
    private var hidden = FloatBuffer(count: 0)
    private var batches: [DecodingBatch] = []

    /// - Parameter draftModel: proposes tokens in speculative decoding. It has the vocabulary of
    ///   `model`.
    package init(model: any DecoderModel, draftModel: (any DecoderModel)? = nil) {
        self.model = model
        self.draftModel = draftModel
    }

    /// The lanes that help the thread that uses the replica; nil for none.
    package var crew: Crew? {
        get { workspace.crew }
        set { workspace.crew = newValue }
    }

    /// The number of documents being written.
    package var count: Int { batches.reduce(0) { $0 + $1.count } }

    /// The most rows that its documents may come to have: a beam search takes a row per beam.
    package var rowCapacity: Int { batches.reduce(0) { $0 + $1.capacity } }

    /// Takes in documents, and computes what is computed once per document.
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

    /// Reads the decoder's prompts of all documents in one pass, except for the last token of each,
    /// which the first step takes.
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

    /// Writes at least one token for every document. Documents that are complete are returned, and
    /// leave the replica.
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
    /// The draft model's own head, or one that was made from it.
    package let head: OutputHead
    /// The most tokens that it proposes at a time.
    package let length: Int

    package init(states: PromptStates, head: OutputHead, length: Int) {
        self.states = states
        self.head = head
        self.length = length
    }
}
