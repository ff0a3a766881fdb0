/// One attempt at a document whose end is in the store.
package struct DocumentRecord: Sendable {
    package enum Outcome: String, Sendable, CaseIterable {
        case succeeded
        /// To be tried again.
        case retried
        /// A dead letter: out of attempts.
        case failed
        /// A dead letter: the document itself is at fault.
        case rejected
    }

    package var jobType: String
    package var outcome: Outcome
    package var id: Int64 = 0
    package var attempt = 1
    /// Of an outcome other than success.
    package var reason: String?
    /// As its enqueuer wrote it: unread.
    package var traceparent: String?
    package var mode = ""
    package var model = ""
    /// Where its states came from: `batch`, `shared` or `cache`; nil where there are none.
    package var encodeSource: String?
    /// Prompts in the encoder's batch; nil where none counts for the document.
    package var batchSize: Int?
    package var tokensIn = 0
    package var tokensOut = 0
    package var tokenize = Duration.zero
    package var batchWait = Duration.zero
    /// Of the whole encoder batch.
    package var encode = Duration.zero
    package var handoff = Duration.zero
    package var decode = Duration.zero
    /// Of a document that the LLM wrote too: ROUGE-L between both outputs, 0 to 1.
    package var agreement: Double?

    /// From when the worker asked until it got the batch.
    package var claim: Range<ContinuousClock.Instant>
    /// When the engine was done with it.
    package var delivered: ContinuousClock.Instant

    package init(
        jobType: String, outcome: Outcome, claim: Range<ContinuousClock.Instant>,
        delivered: ContinuousClock.Instant
    ) {
        self.jobType = jobType
        self.outcome = outcome
        self.claim = claim
        self.delivered = delivered
    }

    /// The stages that it came to, by the names of the metrics' label.
    var stages: [(String, Duration)] {
        [
            ("tokenize", tokenize), ("batch_wait", batchWait), ("encode", encode),
            ("handoff", handoff), ("decode", decode),
        ].filter { $0.1 > .zero }
    }

    static let stageNames = ["tokenize", "batch_wait", "encode", "handoff", "decode"]
}
