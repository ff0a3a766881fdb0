internal import Inference
internal import Jobs
internal import Tokenizers

/// A job type with all it needs, opened: the way of its documents through the pipeline.
struct Route: Sendable {
    let jobType: JobType
    /// Index of the reader in the library: job types that share one share its batches.
    let reader: Int
    /// Index of the writer in the library.
    let writer: Int
    let bridge: Bridge
    /// Of the writer, or cut down to the job type's shortlist.
    let head: OutputHead
    let promptTokenizer: any Tokenizer
    let outputTokenizer: any Tokenizer

    /// Rows that a part takes of a decoder.
    var rows: Int { jobType.decoding.beams }

    /// How the response to one part of a document is chosen.
    func options(for prompt: [Int32], part: Int) -> DecodingOptions {
        let decoding = jobType.decoding
        let sampling = decoding.sampling.map { sampling in
            Sampling(
                temperature: Float(sampling.temperature), topK: sampling.topK,
                topP: Float(sampling.topP),
                seed: RandomStream.seed(
                    UInt64(truncatingIfNeeded: sampling.seed), prompt: prompt, part: part))
        }
        return DecodingOptions(
            maximumNewTokens: jobType.limits.newTokens,
            minimumNewTokens: jobType.limits.minimumNewTokens, beams: decoding.beams,
            lengthPenalty: Float(decoding.lengthPenalty), noRepeatNgram: decoding.noRepeatNgram,
            sampling: sampling)
    }
}
