internal import Inference
internal import Jobs
internal import Tokenizers

/// A job type with its open models and tokenizers: the way of its documents through the pipeline.
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
    /// Index of the encoder in the library. Job types with the same encoder share its batches.
    let encoder: Int
    let promptTokenizer: any Tokenizer
    var generator: Generator
    var draftModel: DraftModel?
    /// The large model as a generator, for fallback and for comparison; nil where neither is asked
    /// for.
    var largeGenerator: Generator?
    /// Languages that documents name and that stand at the start of their prompts, in order.
    var promptLanguages: [DocumentLanguages] = []
    /// Languages that documents name and in which their outputs are written.
    var writtenLanguages: DocumentLanguages?
    /// The most tokens of `decoder_prompt` for which the models have positions.
    var longestOpening = Int.max

    /// Rows that a part takes in a decoder.
    var rows: Int { jobType.decoding.beams }

    /// Indices, in the library, of the projectors whose states a document needs: that of its
    /// generator, then that of the second model if one works on the document.
    func projectors(isShadowed: Bool) -> [Int] {
        if let draftModel { return [generator.projector, draftModel.projector] }
        if let largeGenerator, isShadowed || jobType.fallback != nil {
            return [generator.projector, largeGenerator.projector]
        }
        return [generator.projector]
    }

    /// The decoding options for one part of a document.
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

    /// Whether the small model was so unsure of a response that the large one writes the part anew.
    func isUnsure(_ response: Response) -> Bool {
        guard let fallback = jobType.fallback, let confidence = response.confidence else {
            return false
        }
        return confidence.mean < fallback
    }

    /// Whether the large model writes the document, too. The id alone decides, so the answer is the
    /// same on every worker and in every attempt.
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
