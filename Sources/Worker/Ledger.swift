internal import Jobs
internal import Telemetry

/// What the worker holds, and what has to be done about it.
///
/// Pure: it is given the time and returns actions. A document is on exactly one of the lists of its
/// batch, or in the write in progress. A batch is closed when it has no document left.
struct Ledger {
    typealias Instant = ContinuousClock.Instant

    enum Action: Equatable {
        case emit(WorkerEvent)
        /// Withdraw these documents from the engine. Outputs of those that it has taken up already
        /// are ignored.
        case drop(Set<Int64>)
        /// Withdraw these documents from the engine, and pass those that it gave back to
        /// `gaveBack`.
        case recall(LeaseID, Set<Int64>)
        /// Ask `nextWrite` again: something may be due sooner than was known.
        case lookAtWrites
        /// A lease was closed.
        case close
    }

    struct Batch {
        /// Documents in the engine.
        var running: [Int64: ClaimedDocument]
        /// Documents that the engine has delivered and that are to be completed.
        var delivered: [DocumentRecord] = []
        /// Documents to be given back to the store.
        var returned: [Int64] = []
        var tally: BatchTally
        /// From this moment on, the store may give the documents to others.
        var validUntil: Instant
        /// Whether the lease was not renewed in time. None of its documents is begun then.
        var isOverdue = false

        var hasNothingLeft: Bool { running.isEmpty && delivered.isEmpty && returned.isEmpty }
    }

    var batches: [LeaseID: Batch] = [:]
    /// The write in progress. There is one at a time, and it is repeated until it succeeds or its
    /// lease is lost.
    var writing: Write?
    /// Documents that were recorded since the start, as finished or to be tried again.
    var recordedDocuments = 0
    /// Documents that were given back since the start.
    var releasedDocuments = 0
    private let leaseDuration: Duration

    init(leaseDuration: Duration) {
        self.leaseDuration = leaseDuration
    }

    var isEmpty: Bool { batches.isEmpty }
    var running: Int { batches.values.reduce(0) { $0 + $1.running.count } }
    /// Documents that are neither written nor given back.
    var documents: Int { leases.reduce(0) { $0 + documents(of: $1) } }

    private func documents(of lease: LeaseID) -> Int {
        guard let batch = batches[lease] else { return 0 }
        let inHand = writing.map { $0.lease == lease ? $0.count : 0 } ?? 0
        return batch.running.count + batch.delivered.count + batch.returned.count + inHand
    }

    // MARK: Claims and deliveries

    /// - Parameter asked: when the claim was sent. The lease cannot be older than that.
    mutating func claimed(_ claim: Claim, asked: Instant, now: Instant) -> [Action] {
        // If another batch still works on one of these documents, the lease of that batch ran out.
        // Its documents leave the engine first, because the engine knows them only by their ids.
        let ids = Set(claim.documents.map(\.id))
        let lost = batches.filter { _, batch in
            batch.running.keys.contains(where: ids.contains)
                || batch.delivered.contains { ids.contains($0.id) }
        }
        let actions = lost.keys.sorted { $0.value < $1.value }.flatMap { lose($0) }
        batches[claim.lease] = Batch(
            running: Dictionary(
                claim.documents.map { document in
                    let entry = ClaimedDocument(
                        jobType: document.jobType, attempt: document.attempt,
                        traceparent: document.traceparent, claim: asked..<max(asked, now))
                    return (document.id, entry)
                }, uniquingKeysWith: { $1 }),
            tally: BatchTally(claimed: asked), validUntil: asked + leaseDuration)
        return actions + [
            .emit(
                .batchClaimed(
                    lease: claim.lease.value, documents: claim.documents.count,
                    claim: asked.duration(to: now)))
        ]
    }

    /// Notes a finished document. Ignores one of a lost lease.
    mutating func delivered(
        _ document: FinishedDocument, of lease: LeaseID, now: Instant
    ) -> [Action] {
        let before = nextWriteDue
        guard let entry = batches[lease]?.running.removeValue(forKey: document.id) else {
            return []
        }
        batches[lease]?.delivered.append(
            DocumentRecord(entry, document, delivered: now))
        return nextWriteDue == before ? [] : [.lookAtWrites]
    }

    /// Notes documents that the engine will not deliver.
    mutating func gaveBack(_ ids: Set<Int64>, of lease: LeaseID) -> [Action] {
        guard var batch = batches[lease] else { return [] }
        batch.returned += ids.filter { batch.running.removeValue(forKey: $0) != nil }.sorted()
        batches[lease] = batch
        return [.lookAtWrites]
    }

    // MARK: Leases

    var leases: [LeaseID] { batches.keys.sorted { $0.value < $1.value } }

    /// - Parameters:
    ///   - asked: the leases that the heartbeat named. Nothing is concluded about others.
    ///   - sent: when the heartbeat was sent.
    mutating func renewed(
        _ asked: [LeaseID], _ reply: HeartbeatReply, sent: Instant
    ) -> [Action] {
        let owned = reply.owned
        for lease in asked where owned.contains(lease) {
            batches[lease]?.validUntil = sent + leaseDuration
            batches[lease]?.isOverdue = false
        }
        // The engine finishes cancelled documents that it has taken up. The store drops their
        // outputs.
        let recalls = asked.compactMap { lease -> Action? in
            let ids = (reply.cancelled[lease] ?? []).filter { batches[lease]?.running[$0] != nil }
            return ids.isEmpty ? nil : .recall(lease, ids)
        }
        let lost = asked.filter { lease in
            guard let batch = batches[lease], !owned.contains(lease) else { return false }
            // The write in progress may have closed the lease. Its receipt will tell.
            return !(batch.hasNothingLeft && writing?.lease == lease)
        }
        return recalls + lost.flatMap { lose($0) }
    }

    /// A lease counts as overdue this long before it runs out.
    private var fenceMargin: Duration { leaseDuration / 10 }

    var nextFence: Instant? {
        batches.values.filter { !$0.isOverdue }.map { $0.validUntil - fenceMargin }.min()
    }

    /// Recalls the waiting documents of leases that could not be renewed in time, because other
    /// workers may get them soon. Finished ones are still offered to the store, whose answer
    /// decides.
    mutating func fence(now: Instant) -> [Action] {
        leases.flatMap { lease -> [Action] in
            guard let batch = batches[lease], !batch.isOverdue,
                batch.validUntil - fenceMargin <= now
            else { return [] }
            batches[lease]?.isOverdue = true
            return [
                .emit(.leaseOverdue(lease: lease.value, documents: documents(of: lease))),
                .recall(lease, Set(batch.running.keys)),
            ]
        }
    }

    /// Drops a lease and all its documents.
    mutating func lose(_ lease: LeaseID) -> [Action] {
        let documents = documents(of: lease)
        guard let batch = batches.removeValue(forKey: lease) else { return [] }
        if writing?.lease == lease { writing = nil }
        return [
            .emit(.leaseLost(lease: lease.value, documents: documents)),
            .drop(Set(batch.running.keys)), .close,
        ]
    }

    // MARK: The end

    /// From this moment on, the store may give away all documents that the worker holds.
    var lastValidity: Instant? { batches.values.map(\.validUntil).max() }

    /// Recalls all documents that the engine has not taken up.
    func recallAll() -> [Action] {
        leases.compactMap { lease in
            batches[lease].map { .recall(lease, Set($0.running.keys)) }
        }
    }

    /// Gives back all documents that are still in the engine.
    mutating func abandonRunning() -> [Action] {
        leases.flatMap { gaveBack(Set(batches[$0]?.running.keys.map(\.self) ?? []), of: $0) }
    }
}
