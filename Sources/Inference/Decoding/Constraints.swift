internal import Checkpoints

/// The tokens that may not come next, whatever their logits are, by the rules of transformers 5.
struct Constraints {
    private let minimumNewTokens: Int
    private let noRepeatNgram: Int
    private let endIDs: [Int32]
    private let rules: GenerationRules
    private let maximumNewTokens: Int
    /// The tokens before the response that a forbidden run may begin with: the start token of an
    /// encoder-decoder and the decoder's prompt. A document is never part of it.
    private let prefix: [Int32]

    init(_ options: DecodingOptions, row: DecoderRow, head: OutputHead) {
        minimumNewTokens = options.minimumNewTokens
        noRepeatNgram = options.noRepeatNgram
        endIDs = head.endIDs
        rules = head.rules
        maximumNewTokens = options.maximumNewTokens
        prefix = (row.firstInput == nil ? [head.startID] : []) + options.decoderPrompt
    }

    /// The one token that may come next; nil unless the checkpoint forces one.
    func forced(after written: [Int32]) -> Int32? {
        if written.count == maximumNewTokens - 1, let last = rules.lastID { return last }
        return written.isEmpty ? firstID : nil
    }

    /// The first token that the checkpoint forces. With a decoder's prompt it is nil, because the
    /// prompt stands in its place.
    private var firstID: Int32? { prefix.count > 1 ? nil : rules.firstID }

    /// The tokens that may not come next: none in most steps of most responses. Cost: a scan of
    /// `written` where runs are forbidden.
    func forbidden(after written: [Int32]) -> [Int32] {
        var tokens = rules == .none ? [] : ruledOut(after: written)
        if noRepeatNgram > 0 {
            tokens += Self.repeats(ending: prefix + written, run: noRepeatNgram)
        }
        return written.count >= minimumNewTokens ? tokens : tokens + endIDs
    }

    /// The tokens that the checkpoint forbids.
    private func ruledOut(after written: [Int32]) -> [Int32] {
        // Where the first token is forced, the rule for first tokens holds for the second one.
        let isFirst = written.count == (firstID == nil ? 0 : 1)
        let sequence = prefix + written
        let runs = rules.forbiddenRuns.filter { run in
            sequence.suffix(run.count - 1).elementsEqual(run.dropLast())
        }
        let tokens =
            rules.forbiddenIDs + (isFirst ? rules.forbiddenFirstIDs : []) + runs.compactMap(\.last)
        return tokens
    }

    /// The tokens that would complete a run of `run` tokens that `sequence` already holds.
    static func repeats(ending sequence: [Int32], run: Int) -> [Int32] {
        let tail = sequence.suffix(run - 1)
        return (run - 1..<max(sequence.count, run - 1))
            .filter { sequence[$0 - run + 1..<$0].elementsEqual(tail) }
            .map { sequence[$0] }
    }
}
