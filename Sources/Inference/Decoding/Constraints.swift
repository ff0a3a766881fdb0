internal import Checkpoints

/// Which tokens may not come next, whatever their logits, as transformers 5 rules it.
struct Constraints {
    private let minimumNewTokens: Int
    private let noRepeatNgram: Int
    private let endIDs: [Int32]
    private let rules: GenerationRules
    private let maximumNewTokens: Int
    /// What stands before the response and takes part in runs: the start token of an
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

    /// The one token that may come next, where the checkpoint forces one.
    func forced(after written: [Int32]) -> Int32? {
        if written.count == maximumNewTokens - 1, let last = rules.lastID { return last }
        return written.isEmpty ? firstID : nil
    }

    /// A decoder's prompt stands where the first token would be forced.
    private var firstID: Int32? { prefix.count > 1 ? nil : rules.firstID }

    /// Empty for most steps of most responses. Cost: a scan of `written`, where runs are ruled.
    func forbidden(after written: [Int32]) -> [Int32] {
        var tokens = rules == .none ? [] : ruledOut(after: written)
        if noRepeatNgram > 0 {
            tokens += Self.repeats(ending: prefix + written, run: noRepeatNgram)
        }
        return written.count >= minimumNewTokens ? tokens : tokens + endIDs
    }

    /// The tokens that the checkpoint forbids.
    private func ruledOut(after written: [Int32]) -> [Int32] {
        // Where a token is forced first, tokens that may not come first may not come second.
        let isFirst = written.count == (firstID == nil ? 0 : 1)
        let sequence = prefix + written
        let runs = rules.forbiddenRuns.filter { run in
            sequence.suffix(run.count - 1).elementsEqual(run.dropLast())
        }
        let tokens =
            rules.forbiddenIDs + (isFirst ? rules.forbiddenFirstIDs : []) + runs.compactMap(\.last)
        return tokens
    }

    /// The tokens that would make the last `run` tokens ones that `sequence` holds already.
    static func repeats(ending sequence: [Int32], run: Int) -> [Int32] {
        let tail = sequence.suffix(run - 1)
        return (run - 1..<max(sequence.count, run - 1))
            .filter { sequence[$0 - run + 1..<$0].elementsEqual(tail) }
            .map { sequence[$0] }
    }
}
