package import Logging

extension WorkerEvent {
    package var level: Logger.Level {
        switch self {
        case .batchClaimed: .debug
        case .workerStarted, .workerStopped, .batchFinished, .reconnected, .draining, .drained,
            .dashboardServed, .maintained, .pollsOnly, .leftForLater:
            .info
        case .threadsShareCores, .modelUnchecked, .documentFailed, .leaseLost, .leaseOverdue,
            .staleWritesRefused,
            .leasesRescued,
            .stoppedAtOnce, .dashboardUnavailable:
            .warning
        case .storeUnavailable, .jobTypePaused, .choreFailed: .error
        }
    }

    package var message: String {
        switch self {
        case .workerStarted: "worker started"
        case .threadsShareCores: "more threads than cores"
        case .modelUnchecked: "model unchecked"
        case .workerStopped: "worker stopped"
        case .batchClaimed: "batch claimed"
        case .batchFinished: "batch finished"
        case .documentFailed: "document failed"
        case .leaseLost: "lease lost"
        case .leaseOverdue: "lease overdue"
        case .staleWritesRefused: "stale writes refused"
        case .leasesRescued: "leases rescued"
        case .jobTypePaused: "job type paused: all its last documents crashed their workers"
        case .leftForLater: "documents left for later"
        case .choreFailed: "chore failed"
        case .maintained: "tables maintained"
        case .pollsOnly: "no notifications through a pooler, polling: see --listen-url"
        case .storeUnavailable: "store unavailable"
        case .reconnected: "reconnected"
        case .draining: "draining"
        case .drained: "drained"
        case .stoppedAtOnce: "stopped at once"
        case .dashboardServed: "dashboard served"
        case .dashboardUnavailable: "dashboard unavailable"
        }
    }

    /// Times in milliseconds, under keys that end in `_ms`.
    package var metadata: Logger.Metadata {
        switch self {
        case .workerStarted(let worker, let jobTypes, let threads, let decoders):
            [
                "worker": number(worker), "job_types": "\(jobTypes.joined(separator: ","))",
                "threads": number(threads), "decoders": number(decoders),
            ]
        case .threadsShareCores(let threads, let cores):
            ["threads": number(threads), "cores": number(cores)]
        case .modelUnchecked(let reason):
            ["reason": "\(reason)"]
        case .workerStopped(let worker, let documents):
            ["worker": number(worker), "documents": number(documents)]
        case .batchClaimed(let lease, let documents, let claim):
            ["lease": number(lease), "documents": number(documents), "claim_ms": time(claim)]
        case .batchFinished(let lease, let counts, let times):
            outcome(counts, times).merging(["lease": number(lease)]) { $1 }
        case .documentFailed(let id, let jobType, let attempt, let reason, let willRetry):
            [
                "id": number(id), "job_type": "\(jobType)", "attempt": number(attempt),
                "reason": "\(reason)", "will_retry": .stringConvertible(willRetry),
            ]
        case .leaseLost(let lease, let documents), .leaseOverdue(let lease, let documents),
            .staleWritesRefused(let lease, let documents):
            ["lease": number(lease), "documents": number(documents)]
        case .leasesRescued(let leases, let documents):
            ["leases": number(leases), "documents": number(documents)]
        case .jobTypePaused(let jobType): ["job_type": "\(jobType)"]
        case .leftForLater(let scheduled, let paused):
            ["scheduled": number(scheduled), "paused": number(paused)]
        case .choreFailed(let chore, let reason): ["chore": "\(chore)", "reason": "\(reason)"]
        case .maintained(let what): ["what": "\(what)"]
        case .pollsOnly: [:]
        case .storeUnavailable(let doing, let reason):
            ["doing": "\(doing)", "reason": "\(reason)"]
        case .reconnected(let outage): ["outage_ms": time(outage)]
        case .draining(let running, let timeout):
            ["running": number(running), "timeout_ms": time(timeout)]
        case .drained(let released): ["released": number(released)]
        case .stoppedAtOnce(let running): ["running": number(running)]
        case .dashboardServed(let address): ["address": "\(address)"]
        case .dashboardUnavailable(let address, let reason):
            ["address": "\(address)", "reason": "\(reason)"]
        }
    }
}

private func outcome(_ counts: BatchCounts, _ times: BatchTimes) -> Logger.Metadata {
    [
        "documents": number(counts.documents), "succeeded": number(counts.succeeded),
        "failed": number(counts.failed), "retried": number(counts.retried),
        "tokens_in": number(counts.tokensIn), "tokens_out": number(counts.tokensOut),
        "tokenize_ms": time(times.tokenize), "encode_ms": time(times.encode),
        "handoff_ms": time(times.handoff), "decode_ms": time(times.decode),
        "complete_ms": time(times.completion), "total_ms": time(times.total),
    ]
}

private func number(_ value: some FixedWidthInteger & Sendable) -> Logger.MetadataValue {
    .stringConvertible(value)
}

/// In milliseconds, rounded to tenths: the shortest stages last less than one.
private func time(_ duration: Duration) -> Logger.MetadataValue {
    .stringConvertible((duration / .milliseconds(1) * 10).rounded() / 10)
}
