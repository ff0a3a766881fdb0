internal import Inference
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
    let tokenizer: any Tokenizer
    /// What the decoder is given before it writes; mostly empty.
    let decoderPrompt: [Int32]
}
