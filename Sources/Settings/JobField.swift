import Jobs

/// A field of a YAML file: name, default and meaning, for people. Files are read by it too, so that
/// what is documented is what is accepted.
package struct FileField: Sendable {
    /// Such as `limits.new_tokens`.
    package let name: String
    /// Completes "expected <name> to be …".
    package let expected: String
    /// Nil for a field that must be given (or left out, by mode).
    package let fallback: String?
    package let meaning: String
}

/// A field with the reading of its text.
struct Field<Value: Sendable>: Sendable {
    let about: FileField
    let quantity: Quantity<Value>
    let fallback: Value?

    /// `fallback` is read by the same rules as a user's text, so a default cannot be out of range.
    init(_ name: String, _ quantity: Quantity<Value>, fallback: String? = nil, _ meaning: String) {
        self.quantity = quantity
        self.fallback = fallback.flatMap(quantity.read)
        about = FileField(
            name: name, expected: quantity.expected, fallback: fallback, meaning: meaning)
    }
}

/// | field | default |
/// |---|---|
/// | name, mode, prompt | must be given |
/// | llm, slm | by mode: `llm` needs llm, `hybrid` needs both, `slm` needs slm |
/// | adapter | none |
/// | dtype | float32 |
/// | limits.document_bytes | 1MB |
/// | limits.source_tokens | 512 |
/// | limits.new_tokens | 128 |
/// | limits.minimum_new_tokens | 0 |
/// | limits.overflow | fail |
/// | limits.concurrent_documents | any number |
/// | decoding.beams | 1 |
/// | decoding.length_penalty | 1 |
/// | decoding.no_repeat_ngram | 0 |
/// | decoding.early_stopping | false |
/// | decoding.temperature | 0 |
/// | decoding.top_k | 0 |
/// | decoding.top_p | 1 |
/// | decoding.seed | 0 |
/// | decoder_prompt | none |
/// | source_language, target_language | the model's |
/// | shortlist | none |
/// | batch.documents | 32 |
/// | batch.padded_tokens | 8192, or limits.source_tokens when that is more |
/// | batch.wait | 20ms |
/// | retry.maximum_attempts | 5 |
/// | retry.backoff | 1s |
/// | retry.maximum_backoff | 5m |
/// | timeout | 5m |
/// | fallback | never |
/// | shadow | 0 |
/// | decoding.draft_tokens | 4 |
enum Fields {
    static let name = Field("name", .jobName, "What `l2s.enqueue` calls it; unique in the folder.")
    static let mode = Field(
        "mode", Quantity<JobType.Mode>.choice(),
        "Who reads and who writes: the LLM both (`llm`), LLM and SLM (`hybrid`), the SLM both "
            + "(`slm`), the LLM both with an SLM that proposes (`speculative`)."
    )
    static let llm = Field(
        "llm", .modelFolder, "The large model. Required in all modes but `slm`.")
    static let adapter = Field(
        "adapter", .modelFolder,
        "A low-rank adapter (LoRA, as PEFT saves it) that is merged into the large model. Absent: "
            + "none.")
    static let slm = Field(
        "slm", .modelFolder, "The small model. Required in all modes but `llm`.")
    static let dtype = Field(
        "dtype", Quantity<JobType.NumberType>.choice(), fallback: "float32",
        "How the weights of both models are held; fewer bits are read faster."
    )
    static let prompt = Field(
        "prompt", .prompt,
        "The text that the models read; `{document}` is the document, `{metadata.language}` that text "
            + "of its metadata.")
    static let decoderPrompt = Field(
        "decoder_prompt", .decoderPrompt,
        "What the decoder is given before it writes, special tokens included; no part of the output. "
            + "Documents that differ in it alone share a reading. May hold `{metadata.NAME}`, too. "
            + "Absent: nothing.")
    static let sourceLanguage = Field(
        "source_language", .language,
        "What documents are written in, as the model's tokenizer calls it: `en_XX` (mBART), `eng_Latn` "
            + "(NLLB), `en` (M2M100); `{metadata.language}` for what a document's metadata says. "
            + "Absent: what the model's folder says.")
    static let targetLanguage = Field(
        "target_language", .language,
        "What outputs are written in, called in the same way; for OPUS-MT with several languages the "
            + "name inside of `>>ita<<`. Absent: what the model's folder says.")
    static let shortlist = Field(
        "shortlist", .modelFile,
        "The only tokens that outputs are made of: on each line an id or a piece of the decoder's "
            + "tokenizer. Absent: all.")
    static let timeout = Field(
        "timeout", .duration(.milliseconds(100)...(.seconds(86_400))), fallback: "5m",
        "From hand-over to the engine until the output; past it the attempt fails and is retried.")

    static let fallback = Field(
        "fallback", .number(0...1),
        "In `hybrid` mode: the LLM writes anew what the SLM wrote with tokens less likely than this "
            + "(the geometric mean of their probabilities). Absent: never.")
    static let shadow = Field(
        "shadow", .number(0...1), fallback: "0",
        "In `hybrid` mode: the share of documents that the LLM writes too; `agreement` of their "
            + "results is ROUGE-L between both outputs.")

    static let documentBytes = Field(
        "limits.document_bytes", .size(1...64_000_000), fallback: "1MB",
        "Bytes of UTF-8; `l2s.enqueue` refuses a longer document.")
    static let sourceTokens = Field(
        "limits.source_tokens", .wholeNumber(1...32_768), fallback: "512",
        "Tokens of the whole prompt, the end token included.")
    static let newTokens = Field(
        "limits.new_tokens", .wholeNumber(1...4096), fallback: "128",
        "Tokens of the output (of each part, for a document that is split).")
    static let minimumNewTokens = Field(
        "limits.minimum_new_tokens", .wholeNumber(0...4096), fallback: "0",
        "The output does not end before this many tokens.")
    static let overflow = Field(
        "limits.overflow", Quantity<JobType.Overflow>.choice(), fallback: "fail",
        "A document with more tokens fails, is cut off, is split by sentence and joined again, or is "
            + "split and its outputs are read again until they are one.")

    static let concurrentDocuments = Field(
        "limits.concurrent_documents", .wholeNumber(1...1_000_000),
        "Documents that all workers together have at a time. Absent: any number.")

    static let beams = Field(
        "decoding.beams", .wholeNumber(1...64), fallback: "1",
        "Outputs followed at a time, of which the best is taken; each takes a row of a decoder.")
    static let lengthPenalty = Field(
        "decoding.length_penalty", .number(-10...10), fallback: "1",
        "Beams are ranked by log probability / length to this power; over 0 favours long ones.")
    static let noRepeatNgram = Field(
        "decoding.no_repeat_ngram", .wholeNumber(0...64), fallback: "0",
        "No run of this many tokens occurs twice in an output; 0 allows all.")
    static let earlyStopping = Field(
        "decoding.early_stopping", Quantity<JobType.EarlyStopping>.choice(), fallback: "false",
        "Whether a search ends as soon as `decoding.beams` outputs are complete. `false`: when the best "
            + "of the others is worse at its present length; `never`: at any length.")
    static let temperature = Field(
        "decoding.temperature", .temperature, fallback: "0",
        "Tokens are drawn from the logits divided by this; 0 takes the most likely one.")
    static let topK = Field(
        "decoding.top_k", .wholeNumber(0...1_000_000), fallback: "0",
        "Only this many most likely tokens are drawn from; 0 for all. Needs a temperature.")
    static let topP = Field(
        "decoding.top_p", .number(0.001...1), fallback: "1",
        "Only the most likely tokens that reach this probability together. Needs a temperature.")
    static let seed = Field(
        "decoding.seed", .wholeNumber(0...Int(UInt32.max)), fallback: "0",
        "The same document gets the same draws for the same seed. Needs a temperature.")

    static let draftTokens = Field(
        "decoding.draft_tokens", .wholeNumber(1...32), fallback: "4",
        "Tokens that the SLM proposes at a time in `speculative` mode, at most: one more than were "
            + "right last time.")

    static let documents = Field(
        "batch.documents", .wholeNumber(1...1024), fallback: "32",
        "Documents in one pass of the encoder.")
    static let paddedTokens = Field(
        "batch.padded_tokens", .wholeNumber(1...1_048_576), fallback: "8192",
        "Documents of a pass times its longest document; at least `limits.source_tokens`.")
    static let wait = Field(
        "batch.wait", .duration(.zero...(.seconds(60))), fallback: "20ms",
        "How long a batch that is not full waits for more documents.")

    static let maximumAttempts = Field(
        "retry.maximum_attempts", .wholeNumber(1...100), fallback: "5",
        "Errors after which a document is a dead letter.")
    static let backoff = Field(
        "retry.backoff", .duration(.zero...(.seconds(3600))), fallback: "1s",
        "Delay after the first error; it doubles with every further one.")
    static let maximumBackoff = Field(
        "retry.maximum_backoff", .duration(.zero...(.seconds(86_400))), fallback: "5m",
        "The longest delay; at least `retry.backoff`.")
}

/// The fields of a job file.
package enum JobField {
    /// In the order of the documentation.
    package static let all: [FileField] = [
        Fields.name.about, Fields.mode.about, Fields.llm.about, Fields.adapter.about,
        Fields.slm.about,
        Fields.dtype.about, Fields.prompt.about, Fields.decoderPrompt.about,
        Fields.sourceLanguage.about, Fields.targetLanguage.about, Fields.shortlist.about,
        Fields.timeout.about,
        Fields.fallback.about, Fields.shadow.about,
        Fields.documentBytes.about, Fields.sourceTokens.about, Fields.newTokens.about,
        Fields.minimumNewTokens.about, Fields.overflow.about, Fields.concurrentDocuments.about,
        Fields.beams.about, Fields.lengthPenalty.about, Fields.noRepeatNgram.about,
        Fields.earlyStopping.about,
        Fields.temperature.about, Fields.topK.about, Fields.topP.about, Fields.seed.about,
        Fields.draftTokens.about,
        Fields.documents.about, Fields.paddedTokens.about, Fields.wait.about,
        Fields.maximumAttempts.about, Fields.backoff.about, Fields.maximumBackoff.about,
    ]
}

extension [FileField] {
    /// For a terminal: a line per field.
    package var reference: String {
        let width = map(\.name.count).max() ?? 0
        return map { field in
            let name = field.name + String(repeating: " ", count: width - field.name.count)
            let fallback = field.fallback.map { " Default: \($0)." } ?? ""
            return "\(name)  \(field.meaning) Takes \(field.expected).\(fallback)"
        }.joined(separator: "\n")
    }

    /// The same as a table in Markdown.
    package var markdown: String {
        let rows = map { field in
            let fallback = field.fallback.map { "`\($0)`" } ?? ""
            return "| `\(field.name)` | \(fallback) | \(field.expected) | \(field.meaning) |"
        }
        return (["| field | default | takes | meaning |", "|---|---|---|---|"] + rows)
            .joined(separator: "\n")
    }
}
