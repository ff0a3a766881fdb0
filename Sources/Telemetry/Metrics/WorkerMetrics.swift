internal import Jobs
internal import Synchronization

/// What a worker has done since its start, counted for Prometheus.
///
/// The worker's loops write it, and requests for the page read it. Its names and labels are part of
/// the interface: dashboards and alerts under `deploy/` use them.
package final class WorkerMetrics: Sendable {
    private struct Work {
        var outcomes = Dictionary(
            uniqueKeysWithValues: DocumentRecord.Outcome.allCases.map { ($0, 0) })
        var tokensIn = 0
        var tokensOut = 0
        var unknown = 0
        var cutOff = 0
        var shadowed = 0
        var agreement = 0.0
        var stages = Dictionary(
            uniqueKeysWithValues: StageTimes.names.map { ($0, Histogram()) })
    }

    private struct State {
        var work: [String: Work]
        var claim = Histogram()
        var completion = Histogram()
        var claimedDocuments = 0
        var lostLeases = 0
        var overdueLeases = 0
        var rescuedLeases = 0
        var staleResults = 0
        var failedChores = 0
        var outages = 0
        var isStoreUp = true
        var doesWorkWait = false
        var isRegistered = false
        var isDraining = false
    }

    private let version: String
    private let state: Mutex<State>

    /// - Parameter jobTypes: the values of label `job_type`; they count from 0, not from their
    ///   first document.
    package init(version: String, jobTypes: [String]) {
        self.version = version
        state = Mutex(
            State(work: Dictionary(jobTypes.map { ($0, Work()) }, uniquingKeysWith: { $1 })))
    }

    /// Registered, with the store in reach, and not about to stop.
    package var isReady: Bool {
        state.withLock { $0.isRegistered && $0.isStoreUp && !$0.isDraining }
    }

    /// Counts what `event` says. Events without a metric change nothing.
    package func observe(_ event: WorkerEvent) {
        state.withLock { state in
            switch event {
            case .workerStarted:
                state.isRegistered = true
                state.isStoreUp = true
            case .batchClaimed(_, let documents, let claim):
                state.claim.observe(claim)
                state.claimedDocuments += documents
            case .leaseLost: state.lostLeases += 1
            case .leaseOverdue: state.overdueLeases += 1
            case .leasesRescued(let leases, _): state.rescuedLeases += leases
            case .staleWritesRefused(_, let documents): state.staleResults += documents
            case .choreFailed: state.failedChores += 1
            case .storeUnavailable:
                state.outages += 1
                state.isStoreUp = false
            case .reconnected: state.isStoreUp = true
            case .draining, .stoppedAtOnce: state.isDraining = true
            case .threadsShareCores, .modelUnchecked, .workerStopped, .batchFinished,
                .documentFailed, .drained, .dashboardServed, .dashboardUnavailable, .maintained,
                .pollsOnly, .jobTypePaused, .leftForLater:
                break
            }
        }
    }

    /// - Parameter workWaits: whether documents wait in the queue that this worker might claim.
    package func looked(workWaits: Bool) {
        state.withLock { $0.doesWorkWait = workWaits }
    }

    /// - Parameter completion: the time of the one call that recorded all `documents`.
    package func recorded(_ documents: [DocumentRecord], completion: Duration) {
        state.withLock { state in
            state.completion.observe(completion)
            // A job type that is not known adds nothing, so that labels stay bounded.
            for document in documents {
                guard var work = state.work.removeValue(forKey: document.claimed.jobType) else {
                    continue
                }
                work.outcomes[document.outcome, default: 0] += 1
                work.tokensIn += document.measurements.tokensIn
                work.tokensOut += document.measurements.tokensOut
                work.unknown += document.measurements.unknownTokens
                work.cutOff += document.measurements.cutOffParts > 0 ? 1 : 0
                if let agreement = document.measurements.agreement {
                    work.shadowed += 1
                    work.agreement += agreement
                }
                for (stage, duration) in document.stages { work.stages[stage]?.observe(duration) }
                state.work[document.claimed.jobType] = work
            }
        }
    }

    /// All counts up to now, as `/metrics` shows them.
    package var families: [MetricFamily] {
        let state = state.withLock(\.self)
        let work = state.work.sorted { $0.key < $1.key }
        return Self.documents(work) + Self.queueMoves(state) + [
            MetricFamily(
                .gauge, "l2s_build_info", "1; the label says what runs.",
                [([("version", version)], 1)])
        ]
    }

    private static func documents(_ work: [(key: String, value: Work)]) -> [MetricFamily] {
        [
            MetricFamily(
                .counter, "l2s_documents",
                "Attempts at documents that ended; outcomes failed and rejected are dead letters.",
                work.flatMap { type, work in
                    DocumentRecord.Outcome.allCases.map { outcome in
                        (
                            [("job_type", type), ("outcome", outcome.rawValue)],
                            Double(work.outcomes[outcome, default: 0])
                        )
                    }
                }),
            MetricFamily(
                .counter, "l2s_tokens", "Tokens of those documents, read (in) and written (out).",
                work.flatMap { type, work in
                    [
                        ([("job_type", type), ("direction", "in")], Double(work.tokensIn)),
                        ([("job_type", type), ("direction", "out")], Double(work.tokensOut)),
                    ]
                }),
            MetricFamily(
                .counter, "l2s_unknown_tokens",
                "Tokens read that stand for characters which the model does not know.",
                work.map { ([("job_type", $0)], Double($1.unknown)) }),
            MetricFamily(
                .counter, "l2s_cut_off_documents",
                "Documents with an output that reached limits.new_tokens before its end.",
                work.map { ([("job_type", $0)], Double($1.cutOff)) }),
            MetricFamily(
                .counter, "l2s_shadowed_documents", "Documents that the LLM wrote too.",
                work.map { ([("job_type", $0)], Double($1.shadowed)) }),
            MetricFamily(
                .counter, "l2s_shadow_agreement",
                "Sum of ROUGE-L between both outputs of those documents, each 0 to 1.",
                work.map { ([("job_type", $0)], $1.agreement) }),
            MetricFamily(
                "l2s_stage_duration_seconds",
                "Time of a document in each stage; encode is that of its whole batch.",
                work.flatMap { type, work in
                    StageTimes.names.map { stage in
                        (
                            [("job_type", type), ("stage", stage)],
                            work.stages[stage, default: Histogram()]
                        )
                    }
                }),
        ]
    }

    private static func queueMoves(_ state: State) -> [MetricFamily] {
        [
            MetricFamily(
                "l2s_claim_duration_seconds", "Time of claims that found work.",
                [([], state.claim)]),
            MetricFamily(
                "l2s_complete_duration_seconds", "Time of calls that wrote results.",
                [([], state.completion)]),
            MetricFamily(
                .counter, "l2s_claimed_documents", "Documents taken from the queue.",
                Double(state.claimedDocuments)),
            MetricFamily(
                .counter, "l2s_leases_lost", "Batches that others took over.",
                Double(state.lostLeases)),
            MetricFamily(
                .counter, "l2s_leases_overdue", "Batches that could not be renewed in time.",
                Double(state.overdueLeases)),
            MetricFamily(
                .counter, "l2s_leases_rescued", "Batches taken back from workers gone silent.",
                Double(state.rescuedLeases)),
            MetricFamily(
                .counter, "l2s_stale_results", "Results that came after their lease was gone.",
                Double(state.staleResults)),
            MetricFamily(
                .counter, "l2s_chores_failed",
                "Chores that did not work: rescue, promote, finish groups, look, maintain.",
                Double(state.failedChores)),
            MetricFamily(
                .counter, "l2s_store_outages", "How often the database went away.",
                Double(state.outages)),
            MetricFamily(
                .gauge, "l2s_store_up", "1 while the database answers.",
                state.isStoreUp ? 1 : 0),
            MetricFamily(
                .gauge, "l2s_work_waiting",
                "1 if documents waited for this worker when it looked, twice a minute.",
                state.doesWorkWait ? 1 : 0),
        ]
    }
}
