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
    let promptTokenizer: any Tokenizer
    let outputTokenizer: any Tokenizer

    var options: DecodingOptions {
        DecodingOptions(
            maximumNewTokens: jobType.limits.newTokens,
            minimumNewTokens: jobType.limits.minimumNewTokens)
    }
}
