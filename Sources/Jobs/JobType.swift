/// What is done to the documents of one kind: which models read and write them, within which
/// limits. Defined by a YAML file under `jobs/`.
package struct JobType: Sendable, Equatable {
    package var name: String
    package var mode: Mode
    /// Folder of the large model that reads, relative to the models folder. Nil in `slm` mode.
    package var llm: String?
    /// Folder of a low-rank adapter that is merged into the large model, relative to the models
    /// folder. Nil for none.
    package var adapter: String?
    /// Folder of the small model that writes, relative to the models folder. Nil in `llm` mode.
    package var slm: String?
    /// How the weights of both models are held.
    package var dtype: NumberType
    package var prompt: PromptTemplate
    /// What the decoder is given before it writes, no part of the output. Nil for nothing.
    package var decoderPrompt: PromptTemplate?
    /// What documents are written in, and what outputs are to be written in, as the model's
    /// tokenizer calls languages. Nil for the model's own.
    package var sourceLanguage: Language?
    package var targetLanguage: Language?
    /// Settings that the job file leaves out, which those of the model's folder may replace.
    package var leftToModel: ModelSettings = []
    package var limits: Limits
    package var decoding: Decoding
    /// File of the tokens that the decoder may use, relative to the models folder. Nil for all.
    package var shortlist: String?
    package var batch: BatchLimits
    package var retry: RetryPolicy
    /// From hand-over to the engine until the output is there; past it the attempt fails and is
    /// retried.
    package var timeout: Duration
    /// In `hybrid` mode: the LLM writes a document anew when the SLM's tokens were less likely than
    /// this (the geometric mean of their probabilities). Nil for never.
    package var fallback: Double?
    /// In `hybrid` mode: the share of documents that the LLM writes too, for comparison.
    package var shadow: Double

    package init(
        name: String, mode: Mode, llm: String?, adapter: String? = nil, slm: String?,
        dtype: NumberType = .auto,
        prompt: PromptTemplate, decoderPrompt: PromptTemplate? = nil, limits: Limits,
        decoding: Decoding = Decoding(),
        shortlist: String? = nil, batch: BatchLimits, retry: RetryPolicy, timeout: Duration,
        fallback: Double? = nil, shadow: Double = 0
    ) {
        self.name = name
        self.mode = mode
        self.llm = llm
        self.adapter = adapter
        self.slm = slm
        self.dtype = dtype
        self.prompt = prompt
        self.decoderPrompt = decoderPrompt
        self.limits = limits
        self.decoding = decoding
        self.shortlist = shortlist
        self.batch = batch
        self.retry = retry
        self.timeout = timeout
        self.fallback = fallback
        self.shadow = shadow
    }

    /// The model that reads the documents: job types that agree on it share batches. An LLM with
    /// an adapter is another model.
    package var encoder: String {
        adapter.map { "\(encoderFolder) with \($0)" } ?? encoderFolder
    }
    /// The folder of the model that reads the documents.
    package var encoderFolder: String { llm ?? slm ?? "" }
    /// Names of the metadata fields that its prompts and its languages take.
    package var fields: [String] {
        let languages = [sourceLanguage?.field, targetLanguage?.field].compactMap(\.self)
        let all = prompt.fields + (decoderPrompt?.fields ?? []) + languages
        return all.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
    /// The folder of the model that writes the outputs.
    package var decoder: String {
        switch mode {
        case .llm, .speculative: llm ?? ""
        case .hybrid, .slm: slm ?? ""
        }
    }
}

extension JobType {
    /// Who reads and who writes.
    package enum Mode: String, Sendable, CaseIterable {
        /// The large model's own decoder writes.
        case llm
        /// The large model reads, the small one writes.
        case hybrid
        /// The small model does both.
        case slm
        /// As `llm`, and with its outputs: the small model proposes tokens, which the large one's
        /// decoder checks several at a time.
        case speculative
    }

    /// What `generation_config.json` may say of the search.
    package struct ModelSettings: OptionSet, Sendable, Hashable {
        package let rawValue: Int
        package init(rawValue: Int) { self.rawValue = rawValue }

        package static let beams = Self(rawValue: 1)
        package static let lengthPenalty = Self(rawValue: 2)
        package static let noRepeatNgram = Self(rawValue: 4)
        package static let earlyStopping = Self(rawValue: 8)
        package static let minimumNewTokens = Self(rawValue: 16)
        package static let newTokens = Self(rawValue: 32)
        package static let all = Self(rawValue: 63)
    }

    /// When a beam search ends, once it has as many finished beams as it follows.
    package enum EarlyStopping: String, Sendable, CaseIterable {
        /// When the best running one is worse than all of them at its present length.
        case no = "false"
        /// At once.
        case yes = "true"
        /// When the best running one would be worse than all of them at any length.
        case never
    }

    /// Fewer bits are read faster and say a little less.
    package enum NumberType: String, Sendable, CaseIterable {
        /// What a packed model is packed as, float32 for a tiny one, and int8 for any other.
        case auto
        case float32, bfloat16, int8
    }

    /// What happens to a document with more tokens than the limit.
    package enum Overflow: String, Sendable, CaseIterable {
        /// The document fails, permanently.
        case fail
        /// The tail is cut off, and the result is marked.
        case truncate
        /// The document is split by sentences into parts that fit; the outputs are joined.
        case split
        /// The document is split, and the outputs together are put through the models again, until
        /// they fit into one prompt: its output is that of the document.
        case reduce
    }

    package struct Limits: Sendable, Equatable {
        /// Bytes of UTF-8; a larger document is refused when it is enqueued.
        package var documentBytes: Int
        /// Tokens of the whole prompt, the end token included.
        package var sourceTokens: Int
        package var newTokens: Int
        package var minimumNewTokens: Int
        package var overflow: Overflow
        /// Documents with all workers together at a time; nil for any number.
        package var concurrentDocuments: Int?

        package init(
            documentBytes: Int, sourceTokens: Int, newTokens: Int, minimumNewTokens: Int,
            overflow: Overflow, concurrentDocuments: Int? = nil
        ) {
            self.documentBytes = documentBytes
            self.sourceTokens = sourceTokens
            self.newTokens = newTokens
            self.minimumNewTokens = minimumNewTokens
            self.overflow = overflow
            self.concurrentDocuments = concurrentDocuments
        }
    }

    /// How an output is chosen among what the decoder finds likely.
    package struct Decoding: Sendable, Equatable {
        /// Outputs followed at a time; the best one is taken.
        package var beams: Int
        /// A beam's score is its sum of log probabilities / length ^ lengthPenalty.
        package var lengthPenalty: Double
        /// No run of so many tokens occurs twice; 0 for no such rule.
        package var noRepeatNgram: Int
        package var earlyStopping: EarlyStopping
        /// Nil: the most likely token is taken.
        package var sampling: Sampling?
        /// Tokens that the small model proposes at a time in `speculative` mode.
        package var draftTokens: Int

        package init(
            beams: Int = 1, lengthPenalty: Double = 1, noRepeatNgram: Int = 0,
            earlyStopping: EarlyStopping = .no,
            sampling: Sampling? = nil, draftTokens: Int = 4
        ) {
            self.beams = beams
            self.lengthPenalty = lengthPenalty
            self.noRepeatNgram = noRepeatNgram
            self.earlyStopping = earlyStopping
            self.sampling = sampling
            self.draftTokens = draftTokens
        }
    }

    /// Tokens are drawn by their probability; for one beam only.
    package struct Sampling: Sendable, Equatable {
        /// Logits are divided by it; over 0.
        package var temperature: Double
        /// Only tokens as likely as the k-th; 0 for all.
        package var topK: Int
        /// Only the likely tokens that together reach this probability.
        package var topP: Double
        /// The same document gets the same output for the same seed.
        package var seed: Int

        package init(temperature: Double = 1, topK: Int = 0, topP: Double = 1, seed: Int = 0) {
            self.temperature = temperature
            self.topK = topK
            self.topP = topP
            self.seed = seed
        }
    }

    /// What one pass of the encoder takes at most.
    package struct BatchLimits: Sendable, Equatable {
        package var documents: Int
        /// Rows of the batch times its longest document.
        package var paddedTokens: Int
        /// How long a batch that is not full waits for more documents.
        package var wait: Duration

        package init(documents: Int, paddedTokens: Int, wait: Duration) {
            self.documents = documents
            self.paddedTokens = paddedTokens
            self.wait = wait
        }
    }

    package struct RetryPolicy: Sendable, Equatable {
        /// Errors that a document may meet before it is a dead letter.
        package var maximumAttempts: Int
        /// Delay after the first error; it doubles with every further one.
        package var backoff: Duration
        package var maximumBackoff: Duration

        package init(maximumAttempts: Int, backoff: Duration, maximumBackoff: Duration) {
            self.maximumAttempts = maximumAttempts
            self.backoff = backoff
            self.maximumBackoff = maximumBackoff
        }
    }
}
