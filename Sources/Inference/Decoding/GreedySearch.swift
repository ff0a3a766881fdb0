/// The most likely token, one after the other.
struct GreedySearch {
    let row: DecoderRow
    private(set) var nextToken: Int32
    private let options: DecodingOptions
    private let endIDs: [Int32]
    private var written: [Int32] = []

    init(row: DecoderRow, head: OutputHead, options: DecodingOptions) {
        self.row = row
        nextToken = head.startID
        endIDs = head.endIDs
        self.options = options
    }

    var mayEnd: Bool { written.count >= options.minimumNewTokens }

    /// Takes the most likely token; the response once it is complete.
    mutating func advance(_ token: Int32) -> Response? {
        written.append(token)
        nextToken = token
        guard endIDs.contains(token) || written.count >= options.maximumNewTokens else {
            return nil
        }
        return Response(tokens: written, score: nil)
    }
}
