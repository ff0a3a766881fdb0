internal import Jobs
internal import Telemetry

extension Ledger {
    enum Write {
        case complete(LeaseID, [DocumentRecord])
        case release(LeaseID, [Int64])

        var lease: LeaseID {
            switch self {
            case .complete(let lease, _), .release(let lease, _): lease
            }
        }

        var count: Int {
            switch self {
            case .complete(_, let delivered): delivered.count
            case .release(_, let ids): ids.count
            }
        }
    }

    /// Finished documents of a lease are written at once when there are this many of them.
    static let writeDocuments = 64
    /// Fewer documents are written when the first of them is this old.
    static let writeDelay = Duration.milliseconds(50)

    /// When `nextWrite` will have something to write, as far as is known now.
    var nextWriteDue: Instant? {
        batches.values.compactMap(Self.due).min()
    }

    /// What to write now. Returns the same again until `recorded` or `released` is called, or until
    /// the lease is lost.
    mutating func nextWrite(now: Instant) -> Write? {
        if let writing { return writing }
        let due = batches.compactMap { lease, batch in
            Self.due(batch).map { (lease: lease, due: $0) }
        }.min { ($0.due, $0.lease.value) < ($1.due, $1.lease.value) }
        guard let (lease, time) = due, time <= now, var batch = batches[lease] else { return nil }
        let write: Write
        if batch.returned.isEmpty {
            write = .complete(lease, batch.delivered)
            batch.delivered = []
        } else {
            write = .release(lease, batch.returned)
            batch.returned = []
        }
        batches[lease] = batch
        writing = write
        return write
    }

    /// When a batch has something to write; nil if it has nothing. A time in the past means at
    /// once.
    private static func due(_ batch: Batch) -> Instant? {
        if !batch.returned.isEmpty { return batch.tally.claimed }
        guard let first = batch.delivered.first else { return nil }
        // There is nothing to wait for.
        if batch.running.isEmpty || batch.delivered.count >= writeDocuments {
            return first.delivered
        }
        return first.delivered + writeDelay
    }

    /// - Parameter start: when the write was sent for the first time.
    mutating func recorded(
        _ delivered: [DocumentRecord], of lease: LeaseID, _ receipt: CompletionReceipt,
        from start: Instant, to end: Instant
    ) -> [Action] {
        var actions: [Action] = []
        if !receipt.stale.isEmpty {
            actions.append(
                .emit(
                    .staleWritesRefused(lease: lease.value, documents: receipt.stale.count)))
        }
        recordedDocuments += receipt.recorded.count + receipt.retried.count
        let retried = Set(receipt.retried)
        let written = retried.union(receipt.recorded)
        for delivered in delivered where written.contains(delivered.id) {
            let willRetry = retried.contains(delivered.id)
            batches[lease]?.tally.add(
                delivered.finished, delivered: delivered.delivered, willRetry: willRetry)
            switch delivered.finished.outcome {
            case .succeeded: break
            case .failed(let reason), .rejected(let reason):
                actions.append(
                    .emit(
                        .documentFailed(
                            id: delivered.id, jobType: delivered.claimed.jobType,
                            attempt: delivered.claimed.attempt, reason: reason,
                            willRetry: willRetry)))
            }
        }
        batches[lease]?.tally.written(from: start, to: end)
        return actions + endWrite(of: lease, now: end)
    }

    /// - Parameter count: how many of the documents the lease still held in the store.
    mutating func released(_ count: Int, of lease: LeaseID, now: Instant) -> [Action] {
        releasedDocuments += count
        return endWrite(of: lease, now: now)
    }

    private mutating func endWrite(of lease: LeaseID, now: Instant) -> [Action] {
        if writing?.lease == lease { writing = nil }
        guard let batch = batches[lease], batch.hasNothingLeft else { return [] }
        batches[lease] = nil
        let counts = batch.tally.counts
        guard counts.documents > 0 else { return [.close] }
        return [
            .emit(
                .batchFinished(lease: lease.value, counts, batch.tally.times(now: now))),
            .close,
        ]
    }
}
