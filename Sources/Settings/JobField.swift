import Jobs

/// The fields of a job file, in the order of the documentation.
package struct JobFields: Sendable {
    let name = Field("name", .jobName, "What `l2s.enqueue` calls it; unique in the folder.")
    let mode = Field(
        "mode", Quantity<JobType.Mode>.choice(),
        "Who reads and who writes: the LLM both (`llm`), LLM and SLM (`hybrid`), the SLM both "
            + "(`slm`), the LLM both with an SLM that proposes (`speculative`)."
    )
    let llm = Field(
        "llm", .modelFolder, "The large model. Required in all modes but `slm`.")
    let adapter = Field(
        "adapter", .modelFolder,
        "A low-rank adapter (LoRA, as PEFT saves it) that is merged into the large model. Absent: "
            + "none.")
    let slm = Field(
        "slm", .modelFolder, "The small model. Required in all modes but `llm`.")
    let dtype = Field(
        "dtype", Quantity<JobType.NumberType>.choice(), default: "auto",
        "How the weights of both models are held; fewer bits are read faster. `auto` is what a packed "
            + "model is packed as, float32 below two million weights, and int8 for any other; `int4` is "
            + "for few documents at a time."
    )
    let prompt = Field(
        "prompt", .prompt,
        "The text that the models read; `{document}` stands for the document, `{metadata.language}` for "
            + "that text of its metadata.")
    let decoderPrompt = Field(
        "decoder_prompt", .decoderPrompt,
        "What the decoder is given before it writes, special tokens included; it is no part of the "
            + "output. Documents that differ only in this text share a reading. It may hold "
            + "`{metadata.NAME}`, too. Absent: nothing.")
    let sourceLanguage = Field(
        "source_language", .language,
        "What documents are written in, as the model's tokenizer calls it: `en_XX` (mBART), `eng_Latn` "
            + "(NLLB), `en` (M2M100); `{metadata.language}` for what a document's metadata says. "
            + "Absent: what the model's folder says.")
    let targetLanguage = Field(
        "target_language", .language,
        "What outputs are written in, called in the same way; for OPUS-MT with several languages the "
            + "name inside of `>>ita<<`. Absent: what the model's folder says.")
    let shortlist = Field(
        "shortlist", .modelFile,
        "The only tokens that outputs are made of: on each line an id or a piece of the decoder's "
            + "tokenizer. Absent: all.")
    let timeout = Field(
        "timeout", .duration(.milliseconds(100)...JobType.longestTimeout), default: "5m",
        "The longest time from hand-over to the engine until the output; after it the attempt fails and "
            + "is retried.")

    let fallback = Field(
        "fallback", .number(0...1),
        "In `hybrid` mode: the LLM writes anew what the SLM wrote with tokens less likely than this "
            + "(the geometric mean of their probabilities). Absent: never.")
    let shadow = Field(
        "shadow", .number(0...1), default: "0",
        "In `hybrid` mode: the share of documents that the LLM writes too; `agreement` of their "
            + "results is ROUGE-L between both outputs.")

    let documentBytes = Field(
        "limits.document_bytes", .size(1...64_000_000), default: "1MB",
        "Bytes of UTF-8; `l2s.enqueue` refuses a longer document.")
    package let sourceTokens = Field(
        "limits.source_tokens", .wholeNumber(1...32_768), default: "512",
        "Tokens of the whole prompt, the end token included.")
    package let newTokens = Field(
        "limits.new_tokens", .wholeNumber(1...4096), default: "128",
        "Tokens of the output (of each part, for a document that is split).")
    package let minimumNewTokens = Field(
        "limits.minimum_new_tokens", .wholeNumber(0...4096), default: "0",
        "The output does not end before this many tokens.")
    let overflow = Field(
        "limits.overflow", Quantity<JobType.Overflow>.choice(), default: "fail",
        "What becomes of a document with more tokens: it fails, is cut off, is split by sentence and "
            + "joined again, or is split and its outputs are read again until they are one.")

    let concurrentDocuments = Field(
        "limits.concurrent_documents", .wholeNumber(1...1_000_000),
        "Documents that all workers together may hold at a time. Absent: any number.")

    package let beams = Field(
        "decoding.beams", .wholeNumber(1...64), default: "1",
        "Outputs followed at a time, of which the best is taken; each takes a row of a decoder.")
    let lengthPenalty = Field(
        "decoding.length_penalty", .number(-10...10), default: "1",
        "Beams are ranked by log probability / length to this power; over 0 favours long ones.")
    let noRepeatNgram = Field(
        "decoding.no_repeat_ngram", .wholeNumber(0...64), default: "0",
        "No run of this many tokens occurs twice in an output; 0 allows all.")
    let earlyStopping = Field(
        "decoding.early_stopping", Quantity<JobType.EarlyStopping>.choice(), default: "false",
        "When a search with `decoding.beams` complete outputs ends. `true`: at once; `false`: when the "
            + "best of the others is worse at its present length; `never`: when it is worse at any "
            + "length.")
    let temperature = Field(
        "decoding.temperature", .temperature, default: "0",
        "Tokens are drawn from the logits divided by this; 0 takes the most likely one.")
    let topK = Field(
        "decoding.top_k", .wholeNumber(0...1_000_000), default: "0",
        "Only this many most likely tokens are drawn from; 0 for all. Needs a temperature.")
    let topP = Field(
        "decoding.top_p", .number(0.001...1), default: "1",
        "Only the most likely tokens that together reach this probability are drawn from. Needs a "
            + "temperature.")
    let seed = Field(
        "decoding.seed", .wholeNumber(0...Int(UInt32.max)), default: "0",
        "The same document gets the same draws for the same seed. Needs a temperature.")

    let draftTokens = Field(
        "decoding.draft_tokens", .wholeNumber(1...32), default: "4",
        "The most tokens that the SLM proposes at a time in `speculative` mode. It proposes one more "
            + "than were right last time.")

    package let documents = Field(
        "batch.documents", .wholeNumber(1...1024), default: "32",
        "Documents in one pass of the encoder.")
    let paddedTokens = Field(
        "batch.padded_tokens", .wholeNumber(1...1_048_576), default: "8192",
        "Documents of a pass times the tokens of its longest document; at least "
            + "`limits.source_tokens`.")
    let wait = Field(
        "batch.wait", .duration(.zero...(.seconds(60))), default: "20ms",
        "How long a batch that is not full waits for more documents.")

    let maximumAttempts = Field(
        "retry.maximum_attempts", .wholeNumber(1...100), default: "5",
        "Errors after which a document is a dead letter.")
    let backoff = Field(
        "retry.backoff", .duration(.zero...(.seconds(3600))), default: "1s",
        "Delay after the first error; it doubles with every further one.")
    let maximumBackoff = Field(
        "retry.maximum_backoff", .duration(.zero...(.seconds(86_400))), default: "5m",
        "The longest delay; at least `retry.backoff`.")
}

/// What a job file may say.
package let jobFields = JobFields()

package enum JobField {
    /// In the order of the documentation.
    package static let all = [FieldDescription](of: jobFields)
}
