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
    /// What the decoder is given before it writes. It is no part of the output. Nil for nothing.
    package var decoderPrompt: PromptTemplate?
    /// The languages of documents and of outputs, as the model's tokenizer names them. Nil for the
    /// model's own language.
    package var sourceLanguage: Language?
    package var targetLanguage: Language?
    /// Settings that the job file leaves out. Those of the model's folder may replace them.
    package var leftToModel: ModelSettings = []
    package var limits: Limits
    package var decoding: Decoding
    /// File of the tokens that the decoder may use, relative to the models folder. Nil for all.
    package var shortlist: String?
    package var batch: BatchLimits
    package var retry: RetryPolicy
    /// The longest time from the hand-over to the engine until the output is ready. After it the
    /// attempt fails and is retried.
    package var timeout: Duration
    /// In `hybrid` mode, the LLM writes a document anew if the geometric mean of the probabilities
    /// of the SLM's tokens is below this. Nil for never.
    package var fallback: Double?
    /// In `hybrid` mode, the share of documents that the LLM writes, too, for comparison.
    package var shadow: Double

    /// What `timeout` may be at most. Programs that run documents for the user who waits for them take
    /// it: there a document may wait for all that came before it, however slow the machine is.
    package static let longestTimeout: Duration = .seconds(86_400)

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

    /// The model that reads the documents. Job types with the same encoder share batches. An LLM
    /// with an adapter is a model of its own.
    package var encoder: String {
        adapter.map { "\(encoderFolder) with \($0)" } ?? encoderFolder
    }
    /// The folder of the model that reads the documents.
    package var encoderFolder: String { llm ?? slm ?? "" }
    /// Names of the metadata fields that the prompts and the languages use.
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
        /// The outputs are those of `llm`. The small model proposes tokens, and the large one's
        /// decoder checks several of them at a time.
        case speculative
    }

    /// The settings of the search that a model's `generation_config.json` may give.
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

    /// When a beam search ends after it has found as many finished beams as it follows.
    package enum EarlyStopping: String, Sendable, CaseIterable {
        /// When the best running beam, at its present length, is worse than all finished ones.
        case no = "false"
        /// At once.
        case yes = "true"
        /// When the best running beam would be worse than all finished ones at any length.
        case never
    }

    /// How weights are held. Fewer bits are read faster and are a little less exact.
    package enum NumberType: String, Sendable, CaseIterable {
        /// The format of a packed model; float32 for a tiny model; int8 for any other.
        case auto
        case float32, bfloat16, int8, int4
    }

    /// What happens to a document with more tokens than the limit.
    package enum Overflow: String, Sendable, CaseIterable {
        /// The document fails, permanently.
        case fail
        /// The tail is cut off, and the result is marked.
        case truncate
        /// The document is split at sentences into parts that fit, and the outputs are joined.
        case split
        /// The document is split, and the outputs of its parts together are put through the models
        /// again. This is repeated until they fit into one prompt, whose output is the document's.
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
        /// The most documents that all workers together process at a time; nil for any number.
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

    /// How an output is chosen among those that the decoder finds likely.
    package struct Decoding: Sendable, Equatable {
        /// Outputs that are followed at a time. The best one is taken.
        package var beams: Int
        /// A beam's score is its sum of log probabilities / length ^ lengthPenalty.
        package var lengthPenalty: Double
        /// No run of this many tokens occurs twice in an output; 0 for no such rule.
        package var noRepeatNgram: Int
        package var earlyStopping: EarlyStopping
        /// Nil if the most likely token is always taken.
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

    /// Tokens are drawn by their probability. This works with one beam only.
    package struct Sampling: Sendable, Equatable {
        /// Logits are divided by it. It is greater than 0.
        package var temperature: Double
        /// Only tokens that are at least as likely as the k-th are drawn; 0 for all.
        package var topK: Int
        /// Only the most likely tokens that together reach this probability are drawn.
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

    /// The limits of one pass of the encoder.
    package struct BatchLimits: Sendable, Equatable {
        package var documents: Int
        /// Prompts of the batch times the tokens of its longest prompt.
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
        /// The number of errors after which a document becomes a dead letter.
        package var maximumAttempts: Int
        /// The delay after the first error. It doubles with every further one.
        package var backoff: Duration
        package var maximumBackoff: Duration

        package init(maximumAttempts: Int, backoff: Duration, maximumBackoff: Duration) {
            self.maximumAttempts = maximumAttempts
            self.backoff = backoff
            self.maximumBackoff = maximumBackoff
        }
    }
}
