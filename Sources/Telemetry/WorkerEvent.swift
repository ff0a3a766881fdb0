package import Logging

/// Everything that a worker logs. No case has room for a document's text.
package enum WorkerEvent: Sendable, Equatable {
    case workerStarted(worker: Int64, jobTypes: [String], threads: Int, decoders: Int)
    /// More threads than cores only wait for each other.
    case threadsShareCores(threads: Int, cores: Int)
    /// A model that can be used, but may be the wrong one.
    case modelUnchecked(reason: String)
    /// `documents`: finished since the start.
    case workerStopped(worker: Int64, documents: Int)
    case batchClaimed(lease: Int64, documents: Int, claim: Duration)
    case batchFinished(lease: Int64, BatchCounts, BatchTimes)
    /// `reason` names what was wrong with the document, never what it says. `willRetry` is false
    /// for a dead letter.
    case documentFailed(
        id: Int64, jobType: String, attempt: Int, reason: String, willRetry: Bool)
    /// Another worker may have these documents by now; what this one makes of them is dropped.
    case leaseLost(lease: Int64, documents: Int)
    /// A lease was not renewed in time, because the store does not answer. Those of its `documents`
    /// that have not begun go back; the store decides later whether it takes the others' results.
    case leaseOverdue(lease: Int64, documents: Int)
    /// Results that came after their lease was gone. The store took none of them.
    case staleWritesRefused(lease: Int64, documents: Int)
    /// Batches of workers that died, taken back.
    case leasesRescued(leases: Int, documents: Int)
    /// Each of the type's last documents crashed its worker. No worker claims more of the type until
    /// it is resumed.
    case jobTypePaused(jobType: String)
    /// Documents that `--until-empty` left behind: scheduled for later, or of a paused job type.
    case leftForLater(scheduled: Int, paused: Int)
    /// Work that one worker does for all of them failed; it is tried again.
    case choreFailed(chore: String, reason: String)
    /// Partitions begun or dropped, in the store's words.
    case maintained(what: String)
    /// A pooler stands before the database, and passes no notifications on, so the worker polls.
    case pollsOnly
    case storeUnavailable(doing: String, reason: String)
    case reconnected(outage: Duration)
    /// No new claims; `running` documents may still finish within `timeout`.
    case draining(running: Int, timeout: Duration)
    /// `released` documents went back to the queue, nothing charged to them.
    case drained(released: Int)
    /// `/metrics` and the page are at this address.
    case dashboardServed(address: String)
    /// The page cannot be served there. The worker goes on without it.
    case dashboardUnavailable(address: String, reason: String)
    /// A second signal: running documents are left to the expiry of their leases.
    case stoppedAtOnce(running: Int)
}

/// What became of the documents of one batch.
package struct BatchCounts: Sendable, Equatable {
    package var documents = 0
    package var succeeded = 0
    package var failed = 0
    package var retried = 0
    package var tokensIn = 0
    package var tokensOut = 0

    package init() {}
}

/// The stages of one batch, each from its first document's start to its last one's end.
package struct BatchTimes: Sendable, Equatable {
    package var tokenize = Duration.zero
    package var encode = Duration.zero
    package var handoff = Duration.zero
    package var decode = Duration.zero
    package var completion = Duration.zero
    /// From claimed to completed.
    package var total = Duration.zero

    package init() {}
}

extension Logger {
    package func emit(_ event: WorkerEvent) {
        log(level: event.level, "\(event.message)", metadata: event.metadata)
    }
}
