/// A way to write one response that needs all logits of its rows.
protocol LogitSearch {
    /// The rows that take part in the next step.
    var rows: [DecoderRow] { get }
    /// The token that each of `rows` takes in the next step.
    var nextTokens: [Int32] { get }

    /// Chooses tokens by the logits of one step, [rows, columns of the head], which it may change.
    ///
    /// - Returns: the response once it is complete.
    mutating func advance(logits: Rows) -> Response?
}

/// Draws a token in each step.
struct SampledSearch: LogitSearch {
    private var greedy: GreedySearch
    private let head: OutputHead
    private let sampling: Sampling
    private var random: RandomStream

    init(row: DecoderRow, head: OutputHead, options: DecodingOptions, sampling: Sampling) {
        greedy = GreedySearch(row: row, head: head, options: options)
        self.head = head
        self.sampling = sampling
        random = RandomStream(seed: sampling.seed)
    }

    var rows: [DecoderRow] { [greedy.row] }
    var nextTokens: [Int32] { greedy.inputs }

    mutating func advance(logits: Rows) -> Response? {
        head.forbid(greedy.forbiddenNext, in: logits)
        let column = random.draw(sampling.distribution(logits))
        return greedy.advance([column.map(head.token)])
    }
}

/// Takes the most likely token, and notes how likely it was.
struct ConfidentSearch: LogitSearch {
    private var greedy: GreedySearch
    private let head: OutputHead
    private var confidence = Confidence()

    init(row: DecoderRow, head: OutputHead, options: DecodingOptions) {
        greedy = GreedySearch(row: row, head: head, options: options)
        self.head = head
    }

    var rows: [DecoderRow] { [greedy.row] }
    var nextTokens: [Int32] { greedy.inputs }

    mutating func advance(logits: Rows) -> Response? {
        let norm = Operators.logSumExp(logits.base, count: logits.width)
        head.forbid(greedy.forbiddenNext, in: logits)
        let column = Operators.argmax(logits.base, count: logits.width)
        let logit = logits.base[column]
        if logit > -.infinity, !greedy.isForced { confidence.add(logit - norm) }
        var response = greedy.advance([logit > -.infinity ? head.token(column) : nil])
        response?.confidence = confidence
        return response
    }
}
