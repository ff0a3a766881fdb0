/// A response being written by one row, token after token.
struct Draft {
    let row: DecoderRow
    private(set) var nextToken: Int32
    private let constraints: Constraints
    private let maximumNewTokens: Int
    private let endIDs: [Int32]
    private var written: [Int32] = []

    init(row: DecoderRow, head: OutputHead, options: DecodingOptions) {
        self.row = row
        nextToken = head.startID
        constraints = Constraints(options, row: row, head: head)
        maximumNewTokens = options.maximumNewTokens
        endIDs = head.endIDs
    }

    var forbidden: [Int32] { constraints.forbidden(after: written) }

    /// Takes the chosen token, nil where none may follow; the response once it is complete.
    mutating func advance(_ token: Int32?) -> Response? {
        guard let token else { return Response(tokens: written, score: nil) }
        written.append(token)
        nextToken = token
        guard endIDs.contains(token) || written.count >= maximumNewTokens else { return nil }
        return Response(tokens: written, score: nil)
    }
}
