package import Jobs

/// What a worker keeps of a claimed document while the engine has its text.
package struct ClaimedDocument: Sendable {
    package let jobType: String
    package let attempt: Int
    /// As the enqueuer wrote it; not checked yet.
    package let traceparent: String?
    /// From when the worker asked until it got the batch.
    package let claim: Range<ContinuousClock.Instant>

    package init(
        jobType: String, attempt: Int = 1, traceparent: String? = nil,
        claim: Range<ContinuousClock.Instant>
    ) {
        self.jobType = jobType
        self.attempt = attempt
        self.traceparent = traceparent
        self.claim = claim
    }
}

/// One attempt at a document that the engine is done with.
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

    package let claimed: ClaimedDocument
    package let finished: FinishedDocument
    /// When the engine was done with it.
    package let delivered: ContinuousClock.Instant
    /// Whether the store will have a failed attempt tried again.
    package var willRetry = false

    package init(
        _ claimed: ClaimedDocument, _ finished: FinishedDocument,
        delivered: ContinuousClock.Instant
    ) {
        self.claimed = claimed
        self.finished = finished
        self.delivered = delivered
    }

    package var id: Int64 { finished.id }
    package var measurements: Measurements { finished.measurements }

    package var outcome: Outcome {
        switch finished.outcome {
        case .succeeded: .succeeded
        case .failed: willRetry ? .retried : .failed
        case .rejected: .rejected
        }
    }

    /// Why it did not succeed; nil where it did.
    package var reason: String? {
        switch finished.outcome {
        case .succeeded: nil
        case .failed(let reason), .rejected(let reason): reason
        }
    }

    /// The stages that it went through.
    var stages: [(name: String, time: Duration)] {
        measurements.stages.all.filter { $0.time > .zero }
    }
}
