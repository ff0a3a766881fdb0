/// A document as the engine takes it.
package struct SourceDocument: Sendable, Equatable {
    /// The job's id in its store, or any number by which the caller tells its documents apart.
    package let id: Int64
    package let jobType: String
    package let text: String
    /// Counted from 1; releases are not counted.
    package let attempt: Int
    /// The W3C trace context that the document's spans continue. A text that is none is ignored.
    package let traceparent: String?
    /// Texts of its metadata, by the names of the fields. Prompts may hold them.
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
    /// The encoder made them in a batch of so many prompts. Its time counts for this document.
    case batch(Int)
    /// The encoder made them at that time for another document with the same prompt. Its time
    /// counts for the other document.
    case shared
    /// The prompt cache had them, so no encoder ran.
    case cache

    /// Prompts in the encoder's batch; nil if no batch counts for the document.
    package var batchSize: Int? { if case .batch(let size) = self { size } else { nil } }

    /// The name that people and programs see.
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
    /// How many of `tokensIn` stand for characters that the model does not know.
    package var unknownTokens = 0
    /// Nil until the document's states are made. It stays nil for a rejected document.
    package var encodeSource: EncodeSource?
    /// Parts that a document over the token limit was split into; 1 for all others.
    package var parts = 1
    package var truncated = false
    /// Parts whose output ended at `limits.new_tokens`, without an end token.
    package var cutOffParts = 0
    package var stages = StageTimes()
    /// Tokens that the small model proposed in `speculative` mode, and how many of them the large
    /// one accepted.
    package var drafted = 0
    package var accepted = 0
    /// The geometric mean and the least of the probabilities of the SLM's tokens. Nil unless the
    /// job type has a fallback.
    package var confidence: Double?
    package var leastConfidence: Double?
    /// ROUGE-L, 0 to 1, between the output and the one that the LLM wrote for comparison
    /// (`shadow`).
    package var agreement: Double?

    package init() {}
}
