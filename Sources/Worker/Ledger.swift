internal import Jobs
internal import Telemetry

/// What the worker holds, and what is to be done about it.
///
/// Pure: it is given the time and returns actions. A document is on exactly one of the lists of its
/// batch, or in the write in progress; the batch is closed once it is on none.
struct Ledger {
    typealias Instant = ContinuousClock.Instant

    enum Action: Equatable {
        case emit(WorkerEvent)
        /// Withdraw them from the engine. What it has taken up already will be ignored.
        case drop(Set<Int64>)
        /// Withdraw them from the engine and tell `gaveBack` which ones that were.
        case recall(LeaseID, Set<Int64>)
        /// There may be something to write, sooner than was known.
        case lookAtWrites
        /// The worker holds one lease less.
        case close
    }

    struct Batch {
        /// In the engine.
        var running: [Int64: ClaimedDocument]
        /// Out of the engine, to be completed.
        var delivered: [DocumentRecord] = []
        /// To be given back to the store.
        var returned: [Int64] = []
        var tally: BatchTally
        /// The store may give the documents to others from this moment on.
        var validUntil: Instant
        /// Not renewed in time: nothing more is begun.
        var isOverdue = false

        var hasNothingLeft: Bool { running.isEmpty && delivered.isEmpty && returned.isEmpty }
    }

    var batches: [LeaseID: Batch] = [:]
    /// One at a time; handed out again until it succeeded or its lease is lost.
    var writing: Write?
    /// Finished since the start.
    var recordedDocuments = 0
    /// Given back since the start.
    var releasedDocuments = 0
    private let leaseDuration: Duration

    init(leaseDuration: Duration) {
        self.leaseDuration = leaseDuration
    }

    var isEmpty: Bool { batches.isEmpty }
    var running: Int { batches.values.reduce(0) { $0 + $1.running.count } }
    /// Neither written nor given back.
    var documents: Int { leases.reduce(0) { $0 + documents(of: $1) } }

    private func documents(of lease: LeaseID) -> Int {
        guard let batch = batches[lease] else { return 0 }
        let inHand = writing.map { $0.lease == lease ? $0.count : 0 } ?? 0
        return batch.running.count + batch.delivered.count + batch.returned.count + inHand
    }

    // MARK: Claims and deliveries

    /// - Parameter asked: when the claim was sent; the lease is no older than that.
    mutating func claimed(_ claim: Claim, asked: Instant, now: Instant) -> [Action] {
        // The store gave away what another batch still works on: that lease ran out. Its documents
        // leave the engine first, because the engine knows them by their ids alone.
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

    /// Ignores what belongs to a lost lease.
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

    /// The engine will not deliver these.
    mutating func gaveBack(_ ids: Set<Int64>, of lease: LeaseID) -> [Action] {
        guard var batch = batches[lease] else { return [] }
        batch.returned += ids.filter { batch.running.removeValue(forKey: $0) != nil }.sorted()
        batches[lease] = batch
        return [.lookAtWrites]
    }

    // MARK: Leases

    var leases: [LeaseID] { batches.keys.sorted { $0.value < $1.value } }

    /// - Parameters:
    ///   - asked: the leases of the heartbeat; only these are judged.
    ///   - sent: when the heartbeat was sent.
    mutating func renewed(
        _ asked: [LeaseID], _ reply: HeartbeatReply, sent: Instant
    ) -> [Action] {
        let owned = reply.owned
        for lease in asked where owned.contains(lease) {
            batches[lease]?.validUntil = sent + leaseDuration
            batches[lease]?.isOverdue = false
        }
        // What the engine has taken up is finished all the same, and dropped by the store.
        let recalls = asked.compactMap { lease -> Action? in
            let ids = (reply.cancelled[lease] ?? []).filter { batches[lease]?.running[$0] != nil }
            return ids.isEmpty ? nil : .recall(lease, ids)
        }
        let lost = asked.filter { lease in
            guard let batch = batches[lease], !owned.contains(lease) else { return false }
            // The write in progress may have closed it; its receipt will tell.
            return !(batch.hasNothingLeft && writing?.lease == lease)
        }
        return recalls + lost.flatMap { lose($0) }
    }

    /// Before this long ago, a lease may have run out without the worker's hearing of it.
    private var fenceMargin: Duration { leaseDuration / 10 }

    var nextFence: Instant? {
        batches.values.filter { !$0.isOverdue }.map { $0.validUntil - fenceMargin }.min()
    }

    /// Stops beginning documents of leases that could not be renewed in time: soon others may have
    /// them. What is finished is still offered to the store, whose answer decides.
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

    /// Drops all that belongs to a lease.
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

    /// From this moment on the store gives away all that the worker held.
    var lastValidity: Instant? { batches.values.map(\.validUntil).max() }

    /// Gives back what the engine has not taken up.
    func recallAll() -> [Action] {
        leases.compactMap { lease in
            batches[lease].map { .recall(lease, Set($0.running.keys)) }
        }
    }

    /// Gives back what the engine is still at.
    mutating func abandonRunning() -> [Action] {
        leases.flatMap { gaveBack(Set(batches[$0]?.running.keys.map(\.self) ?? []), of: $0) }
    }
}
