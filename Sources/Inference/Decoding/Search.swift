/// One document's way through the logits: it owns the rows that write for it.
protocol Search {
    /// Rows to be stepped, and the token that each takes next.
    var rows: [DecoderRow] { get }
    var nextTokens: [Int32] { get }
    /// Uses up one step's logits [rows, vocabulary]; the response once it is complete.
    mutating func advance(logits: Rows) -> Response?
}

/// The most likely token, one after the other.
struct GreedySearch: Search {
    let rows: [DecoderRow]
    private(set) var nextTokens: [Int32]
    private let options: DecodingOptions
    private let endIDs: [Int32]
    private var written: [Int32] = []

    init(row: DecoderRow, startID: Int32, endIDs: [Int32], options: DecodingOptions) {
        rows = [row]
        nextTokens = [startID]
        self.endIDs = endIDs
        self.options = options
    }

    mutating func advance(logits: Rows) -> Response? {
        if written.count < options.minimumNewTokens { logits.forbid(endIDs) }
        let token = Int32(Operators.argmax(logits.base, count: logits.width))
        written.append(token)
        nextTokens = [token]
        guard endIDs.contains(token) || written.count >= options.maximumNewTokens else {
            return nil
        }
        return Response(tokens: written, score: nil)
    }
}

extension Rows {
    func forbid(_ tokens: [Int32]) {
        for row in 0..<count {
            for token in tokens where token >= 0 && token < width {
                self[row][Int(token)] = -.infinity
            }
        }
    }
}
