/// Which tokens may not come next, whatever their logits, as transformers 5 rules it.
struct Constraints {
    private let minimumNewTokens: Int
    private let noRepeatNgram: Int
    private let endIDs: [Int32]
    /// What stands before the response and takes part in runs: the start token of an
    /// encoder-decoder and the decoder's prompt. A document is never part of it.
    private let prefix: [Int32]

    init(_ options: DecodingOptions, row: DecoderRow, head: OutputHead) {
        minimumNewTokens = options.minimumNewTokens
        noRepeatNgram = options.noRepeatNgram
        endIDs = head.endIDs
        prefix = (row.firstInput == nil ? [head.startID] : []) + options.decoderPrompt
    }

    /// Empty for most steps of most responses. Cost: a scan of `written`, where runs are ruled.
    func forbidden(after written: [Int32]) -> [Int32] {
        let mayEnd = written.count >= minimumNewTokens
        guard noRepeatNgram > 0 else { return mayEnd ? [] : endIDs }
        let repeats = Self.repeats(ending: prefix + written, run: noRepeatNgram)
        return mayEnd ? repeats : repeats + endIDs
    }

    /// The tokens that would make the last `run` tokens ones that `sequence` holds already.
    static func repeats(ending sequence: [Int32], run: Int) -> [Int32] {
        let tail = sequence.suffix(run - 1)
        return (run - 1..<max(sequence.count, run - 1))
            .filter { sequence[$0 - run + 1..<$0].elementsEqual(tail) }
            .map { sequence[$0] }
    }
}
