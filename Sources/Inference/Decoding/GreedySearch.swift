/// A response that one row writes token by token, always taking the most likely one.
struct GreedySearch {
    let row: DecoderRow
    /// Tokens that a small model proposes. The next pass takes them behind `nextToken`.
    private(set) var proposals: [Int32] = []
    let speculation: Speculation?
    private let head: OutputHead
    private let constraints: Constraints
    private let maximumNewTokens: Int
    /// The token that the decoder takes in the first step; the response follows it.
    private let firstInput: Int32
    private var written: [Int32] = []
    private var drafted = 0
    private var accepted = 0
    /// Proposals worth making next: one more than were right last time.
    private var hope: Int

    init(
        row: DecoderRow, head: OutputHead, options: DecodingOptions,
        speculation: Speculation? = nil
    ) {
        self.row = row
        self.head = head
        self.speculation = speculation
        constraints = Constraints(options, row: row, head: head)
        maximumNewTokens = options.maximumNewTokens
        firstInput = options.decoderPrompt.last ?? head.startID
        hope = speculation?.length ?? 0
    }

    private var nextToken: Int32 { written.last ?? firstInput }
    /// The tokens of the next pass, all of them for `row`.
    var inputs: [Int32] { [nextToken] + proposals }

    /// Per input, the tokens that may not follow it.
    var forbidden: [[Int32]] {
        (0...proposals.count).map { constraints.forbidden(after: written + proposals.prefix($0)) }
    }

    /// Takes the token chosen after each input; nil where no token may follow.
    ///
    /// A choice counts only if every proposal before it was chosen, too. So the tokens are the same
    /// as with one input at a time (speculative decoding, arXiv 2211.17192, for greedy choices).
    ///
    /// - Returns: the response once it is complete.
    mutating func advance(_ choices: some Sequence<Int32?>) -> Response? {
        drafted += proposals.count
        hope = 1
        for (index, best) in choices.enumerated() {
            let choice = constraints.forced(after: written) ?? best
            let isProposed = index < proposals.count && choice == proposals[index]
            if isProposed {
                accepted += 1
                hope += 1
            }
            if let choice { written.append(choice) }
            let isLast = choice.map(head.endIDs.contains) ?? true
            if isLast || written.count >= maximumNewTokens { return response }
            if !isProposed {
                row.rewind(by: proposals.count - index)
                break
            }
        }
        proposals = []
        speculation?.forget(after: written.count)
        return nil
    }

    private var response: Response {
        Response(tokens: written, score: nil, drafted: drafted, accepted: accepted)
    }
}

// MARK: Proposing

extension GreedySearch {
    /// Whether one more proposal could be of use.
    var wantsProposal: Bool {
        guard let speculation, written.count + proposals.count + 1 < maximumNewTokens else {
            return false
        }
        return proposals.count < min(speculation.length, hope)
            && !(proposals.last.map(head.endIDs.contains) ?? false)
    }

    /// The tokens that the small model has not read yet, in order.
    var unreadBySpeculation: [Int32] {
        guard let speculation else { return [] }
        let sequence = speculation.opening + written + proposals
        return Array(sequence[speculation.row.taken...])
    }

    /// Whether the next token is one that the checkpoint forces.
    var isForced: Bool { constraints.forced(after: written) != nil }

    /// The tokens that may not be proposed next.
    var forbiddenNext: [Int32] { constraints.forbidden(after: written + proposals) }

    /// Adds a proposal. Where the checkpoint forces a token, it is proposed in place of `token`.
    mutating func propose(_ token: Int32) {
        proposals.append(constraints.forced(after: written + proposals) ?? token)
    }
}

/// The small model's part in one response of speculative decoding.
struct Speculation {
    let row: DecoderRow
    /// What stands before the response: the start token and the decoder's prompt.
    let opening: [Int32]
    /// Proposals at a time, at most.
    let length: Int

    /// Takes back what the small model read beyond a response of `written` tokens.
    fileprivate func forget(after written: Int) {
        row.rewind(by: max(0, row.taken - (opening.count - 1 + written)))
    }
}
