internal import Inference
internal import Jobs
internal import Tokenizers

/// A job type with all it needs, opened: the way of its documents through the pipeline.
struct Route: Sendable {
    /// Who writes an output.
    struct Author: Sendable {
        /// The folder, as the job type names it.
        let model: String
        /// Index of the writer in the library.
        let writer: Int
        /// From the reader's states to the writer's.
        let bridge: Bridge
        /// Of the writer, or cut down to the job type's shortlist.
        let head: OutputHead
        let tokenizer: any Tokenizer
    }

    /// The small model's part in `speculative` mode.
    struct DraftModel: Sendable {
        let bridge: Bridge
        let head: OutputHead
    }

    let jobType: JobType
    /// Index of the reader in the library: job types that share one share its batches.
    let reader: Int
    let promptTokenizer: any Tokenizer
    let author: Author
    let draftModel: DraftModel?
    /// The large model as the author, for what the small one is unsure of and for comparison.
    let largeAuthor: Author?

    /// Rows that a part takes of a decoder.
    var rows: Int { jobType.decoding.beams }

    /// What a prompt's states are made of: those of its author, then those of the second model
    /// that has a part in the document, if there is one.
    func bridges(isShadowed: Bool) -> [Bridge] {
        if let draftModel { return [author.bridge, draftModel.bridge] }
        if let largeAuthor, isShadowed || jobType.fallback != nil {
            return [author.bridge, largeAuthor.bridge]
        }
        return [author.bridge]
    }

    /// How the response to one part of a document is chosen.
    func options(for prompt: [Int32], part: Int, isFirstChoice: Bool) -> DecodingOptions {
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
            sampling: sampling, measuresConfidence: isFirstChoice && jobType.fallback != nil)
    }

    /// Whether the small model was too unsure of a response for it to count.
    func isUnsure(_ response: Response) -> Bool {
        guard let fallback = jobType.fallback, let confidence = response.confidence else {
            return false
        }
        return confidence.mean < fallback
    }

    /// The same documents on every worker and in every attempt.
    func isShadowed(_ document: Int64) -> Bool {
        let seed = RandomStream.seed(UInt64(bitPattern: document), prompt: [], part: 0)
        return Double(seed >> 11) * 0x1p-53 < jobType.shadow
    }
}
