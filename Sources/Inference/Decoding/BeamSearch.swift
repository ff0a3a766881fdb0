internal import Checkpoints

/// Beam search as transformers 5 does it. See `DecodingOptions.EarlyStopping` for when it ends.
struct BeamSearch: LogitSearch {
    private struct Beam {
        var row: DecoderRow
        var tokens: [Int32] = []
        /// Sum of log probabilities.
        var score: Float
    }

    private struct Candidate {
        let beam: Int
        let token: Int32
        let score: Float
    }

    private let options: DecodingOptions
    private let head: OutputHead
    private let constraints: Constraints
    /// The token that the decoder takes in the first step; the response follows it.
    private let firstInput: Int32
    private var running: [Beam]
    private var finished: [(tokens: [Int32], score: Float)] = []

    init(row: DecoderRow, head: OutputHead, options: DecodingOptions) {
        self.head = head
        self.options = options
        constraints = Constraints(options, row: row, head: head)
        firstInput = options.decoderPrompt.last ?? head.startID
        // All beams would be equal at first: one row stands for them.
        running = [Beam(row: row, score: 0)]
    }

    var rows: [DecoderRow] { running.map(\.row) }
    var nextTokens: [Int32] { running.map { $0.tokens.last ?? firstInput } }

    mutating func advance(logits: Rows) -> Response? {
        let length = running[0].tokens.count + 1
        let candidates = bestCandidates(logits)
        let isLast = length >= options.maximumNewTokens
        var survivors: [Candidate] = []
        for (rank, candidate) in candidates.enumerated() {
            if isLast || head.endIDs.contains(candidate.token) {
                // An end token counts only among the best `beams` candidates.
                guard rank < options.beams else { continue }
                finished.append(
                    (
                        running[candidate.beam].tokens + [candidate.token],
                        normalized(candidate.score, length: length)
                    ))
            } else if survivors.count < options.beams {
                survivors.append(candidate)
            }
        }
        if candidates.isEmpty, finished.isEmpty {
            // Nothing may follow: the response ends where it is.
            finished = [(running[0].tokens, normalized(running[0].score, length: length - 1))]
        }
        finished.sort { $0.score > $1.score }
        finished.removeLast(max(0, finished.count - options.beams))
        continueWith(survivors)
        if let best = running.first, finished.count == options.beams {
            let worst = finished[finished.count - 1].score
            if options.earlyStopping == .yes || hope(for: best, at: length) <= worst {
                running = []
            }
        }
        guard running.isEmpty, let best = finished.first else { return nil }
        return Response(tokens: best.tokens, score: best.score)
    }

    /// The best score that a running beam may still reach.
    private func hope(for beam: Beam, at length: Int) -> Float {
        // With a positive penalty, the score of a longer output is divided by more: the longest
        // output has the best chance.
        let isOpen = options.earlyStopping == .never && options.lengthPenalty > 0
        return normalized(beam.score, length: isOpen ? options.maximumNewTokens : length)
    }

    private func normalized(_ score: Float, length: Int) -> Float {
        score / power(Float(max(length, 1)), options.lengthPenalty)
    }

    /// The best continuations over all beams, best first: enough that as many beams can go on
    /// even when every end token is among them.
    private func bestCandidates(_ logits: Rows) -> [Candidate] {
        let wanted = max(2, 1 + head.endIDs.count) * options.beams
        var best: [Candidate] = []
        for (index, beam) in running.enumerated() {
            let row = logits.rows(index..<index + 1)
            if let token = constraints.forced(after: beam.tokens) {
                // A forced token is certain, so the score stays as it is.
                best.append(Candidate(beam: index, token: token, score: beam.score))
                continue
            }
            let forbidden = constraints.forbidden(after: beam.tokens)
            if head.rules.renormalizes { head.forbid(forbidden, in: row) }
            let norm = Operators.logSumExp(row.base, count: row.width)
            head.forbid(forbidden, in: row)
            func add(_ column: Int) {
                guard row.base[column] > -.infinity else { return }
                let score = beam.score + (row.base[column] - norm)
                if best.count == wanted, score <= best[wanted - 1].score { return }
                let place = best.firstIndex { $0.score < score } ?? best.count
                best.insert(
                    Candidate(beam: index, token: head.token(column), score: score), at: place)
                if best.count > wanted { best.removeLast() }
            }
            for first in stride(from: 0, to: row.width, by: Self.block) {
                let columns = first..<min(first + Self.block, row.width)
                let top = Operators.highest(row.base + first, count: columns.count)
                // Scores grow with logits, so nothing in this block is better than what there is.
                if best.count == wanted, beam.score + (top - norm) <= best[wanted - 1].score {
                    continue
                }
                columns.forEach(add)
            }
        }
        return best.sorted { $0.score > $1.score }
    }

    /// Logits whose largest is looked at first. Few of the blocks hold a candidate.
    private static let block = 128

    /// A row goes on as the first of its continuations; the others get a copy of it.
    private mutating func continueWith(_ survivors: [Candidate]) {
        var isTaken = [Bool](repeating: false, count: running.count)
        running = survivors.map { candidate in
            let parent = running[candidate.beam]
            let row = isTaken[candidate.beam] ? parent.row.fork() : parent.row
            isTaken[candidate.beam] = true
            return Beam(
                row: row, tokens: parent.tokens + [candidate.token], score: candidate.score)
        }
    }
}
