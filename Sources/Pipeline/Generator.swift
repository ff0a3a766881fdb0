internal import Inference
internal import Jobs
internal import Tokenizers

/// What turns a prompt's states into text: a decoder with its projector, head and tokenizer.
struct Generator: Sendable {
    /// The model's folder, as the job type names it.
    let model: String
    /// Index of the decoder in the library.
    let decoder: Int
    /// Index of the projector in the library: from the encoder's states to the decoder's.
    let projector: Int
    /// The decoder's own head, or that head cut down to the job type's shortlist.
    let head: OutputHead
    /// Nil unless documents name the language of their outputs.
    var languageHeads: LanguageHeads?
    let tokenizer: any Tokenizer
    /// What the decoder is given before it writes, without the fields of a document. Mostly empty.
    let decoderPrompt: [Int32]
    /// Makes the decoder's prompt with a document's fields; nil if it is the same for all
    /// documents.
    let decoderTemplate: PromptTemplate?

    /// - Parameter model: as the job type names it.
    init(
        model: String, decoder: Int, projector: Int, head: OutputHead, tokenizer: any Tokenizer,
        decoderPrompt: PromptTemplate?
    ) {
        self.model = model
        self.decoder = decoder
        self.projector = projector
        self.head = head
        self.tokenizer = tokenizer
        self.decoderPrompt = decoderPrompt?.tokens(of: tokenizer) ?? []
        decoderTemplate = decoderPrompt?.fields.isEmpty == false ? decoderPrompt : nil
    }

    /// The head for the outputs of a document with these fields.
    func head(for fields: [String: String]) -> OutputHead {
        languageHeads?.head(for: fields) ?? head
    }

    /// What the decoder is given before it writes for a document with these fields.
    func opening(_ fields: [String: String]) -> [Int32] {
        decoderTemplate?.tokens(of: tokenizer, fields: fields) ?? decoderPrompt
    }
}

extension PromptTemplate {
    fileprivate func tokens(
        of tokenizer: any Tokenizer, fields: [String: String] = [:]
    ) -> [Int32] {
        tokenizer.encode(stretches(fields: fields).map(PromptSegment.init), ends: .none)
    }
}
