/// A document as the engine takes it.
package struct SourceDocument: Sendable, Equatable {
    /// The job's id in its store, or any number that the caller tells its documents apart by.
    package let id: Int64
    package let jobType: String
    package let text: String
    /// 1 for the first; releases are not counted.
    package let attempt: Int
    /// The W3C trace context that its spans continue, if it is one.
    package let traceparent: String?
    /// Texts of its metadata that prompts may hold, by name.
    package let fields: [String: String]

    package init(
        id: Int64, jobType: String, text: String, attempt: Int = 1, traceparent: String? = nil,
        fields: [String: String] = [:]
    ) {
        self.id = id
        self.jobType = jobType
        self.text = text
        self.attempt = attempt
        self.traceparent = traceparent
        self.fields = fields
    }
}

/// What became of a document in the engine.
package struct FinishedDocument: Sendable {
    package let id: Int64
    package let outcome: Outcome
    package let measurements: Measurements

    package init(id: Int64, outcome: Outcome, measurements: Measurements) {
        self.id = id
        self.outcome = outcome
        self.measurements = measurements
    }
}

package enum Outcome: Sendable, Equatable {
    case succeeded(output: String, tokens: [Int32])
    /// No attempt could succeed: the document itself is at fault.
    case rejected(reason: String)
    /// This attempt failed; another may succeed.
    case failed(reason: String)
}

/// Where the states of a document's prompt came from.
package enum EncodeSource: Sendable, Equatable {
    /// The encoder made them in one batch of so many prompts, and its time counts for this
    /// document.
    case batch(Int)
    /// The encoder made them at that time for another document with the same prompt, for which its
    /// time counts.
    case shared
    /// The prompt cache had them, so no encoder ran.
    case cache

    /// Prompts in the encoder's batch; nil where none counts for the document.
    package var batchSize: Int? { if case .batch(let size) = self { size } else { nil } }

    /// One word for people and programs.
    package var word: String {
        switch self {
        case .batch: "batch"
        case .shared: "shared"
        case .cache: "cache"
        }
    }
}

/// Counts and stage times of one document in one attempt.
package struct Measurements: Sendable, Equatable {
    package var mode = ""
    package var model = ""
    package var tokensIn = 0
    package var tokensOut = 0
    /// Tokens of `tokensIn` that stand for characters which the model does not know.
    package var unknownTokens = 0
    /// Nil until the document's states are there: a rejected document has none.
    package var encodeSource: EncodeSource?
    /// Parts that a document over the token limit was split into; 1 for all others.
    package var parts = 1
    package var truncated = false
    /// Parts whose output ended at `limits.new_tokens`, without an end token.
    package var cutOffParts = 0
    package var stages = StageTimes()
    /// Tokens that the small model proposed in `speculative` mode, and those of them that the large
    /// one took.
    package var drafted = 0
    package var accepted = 0
    /// The geometric mean of the probabilities of the SLM's tokens, and the least of them, where a
    /// fallback asks for them.
    package var confidence: Double?
    package var leastConfidence: Double?
    /// ROUGE-L between both outputs, 0 to 1, of a document that the LLM wrote too (`shadow`).
    package var agreement: Double?

    package init() {}
}
