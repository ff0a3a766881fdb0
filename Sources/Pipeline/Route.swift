internal import Inference
internal import Jobs
internal import Tokenizers

/// A job type with all it needs, opened: the way of its documents through the pipeline.
struct Route: Sendable {
    /// The small model's part in `speculative` mode.
    struct DraftModel: Sendable {
        /// Index of the projector in the library.
        let projector: Int
        let head: OutputHead
        /// Nil unless documents name the language of their outputs.
        var languageHeads: LanguageHeads?

        /// The head for the outputs of a document with these fields.
        func head(for fields: [String: String]) -> OutputHead {
            languageHeads?.head(for: fields) ?? head
        }
    }

    let jobType: JobType
    /// Index of the encoder in the library: job types that share one share its batches.
    let encoder: Int
    let promptTokenizer: any Tokenizer
    var generator: Generator
    var draftModel: DraftModel?
    /// The large model as the generator, for what the small one is unsure of and for comparison.
    var largeGenerator: Generator?
    /// Languages that documents name and prompts begin with, in order.
    var promptLanguages: [DocumentLanguages] = []
    /// Languages that documents name and outputs are written in.
    var writtenLanguages: DocumentLanguages?
    /// The most tokens that models have positions for before the output.
    var longestOpening = Int.max

    /// Rows that a part takes of a decoder.
    var rows: Int { jobType.decoding.beams }

    /// What a prompt's states are made of: those of its generator, then those of the second model
    /// that has a part in the document, if there is one. By index in the library.
    func projectors(isShadowed: Bool) -> [Int] {
        if let draftModel { return [generator.projector, draftModel.projector] }
        if let largeGenerator, isShadowed || jobType.fallback != nil {
            return [generator.projector, largeGenerator.projector]
        }
        return [generator.projector]
    }

    /// How the response to one part of a document is chosen.
    func options(
        for prompt: [Int32], part: Int, by generator: Generator, isFirstChoice: Bool,
        fields: [String: String] = [:]
    ) -> DecodingOptions {
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
            lengthPenalty: Float(decoding.lengthPenalty),
            earlyStopping: DecodingOptions.EarlyStopping(decoding.earlyStopping),
            noRepeatNgram: decoding.noRepeatNgram,
            sampling: sampling, measuresConfidence: isFirstChoice && jobType.fallback != nil,
            decoderPrompt: generator.opening(fields))
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

extension DecodingOptions.EarlyStopping {
    fileprivate init(_ choice: JobType.EarlyStopping) {
        self =
            switch choice {
            case .no: .no
            case .yes: .yes
            case .never: .never
            }
    }
}
