internal import Jobs
internal import Telemetry

extension WorkerService {
    /// Writes back until cancelled. A write is repeated until it succeeded or its lease is known to
    /// be lost: the store takes no document twice.
    func complete(_ worker: WorkerID) async throws {
        var started: ContinuousClock.Instant?
        while true {
            let now = time.now()
            guard let write = decide({ $0.nextWrite(now: now) }) else {
                started = nil
                await outbox.wait(until: held(\.nextWriteDue), time)
                try Task.checkCancellation()
                continue
            }
            let start = started ?? now
            do {
                // Kept over attempts that failed.
                started = try await self.write(write, of: worker, from: start) ? nil : start
            } catch let error where !(error is CancellationError) {
                // No retry can mend it. The other leases may still be written.
                fail(error)
                started = nil
                act { $0.lose(write.lease) }
            }
        }
    }

    /// False when the store is unavailable.
    private func write(
        _ write: Ledger.Write, of worker: WorkerID, from start: ContinuousClock.Instant
    ) async throws -> Bool {
        switch write {
        case .complete(let lease, let delivered):
            let documents = delivered.map(\.finished)
            let receipt = try await ask(.work, "write back") {
                try await $0.complete(worker, lease, documents)
            }
            guard let receipt else { return false }
            let end = time.now()
            let retried = Set(receipt.retried)
            let written = retried.union(receipt.recorded)
            var records = delivered.filter { written.contains($0.id) }
            for index in records.indices {
                records[index].willRetry = retried.contains(records[index].id)
            }
            tell(records, completion: start..<max(start, end))
            act { $0.recorded(delivered, of: lease, receipt, from: start, to: end) }
        case .release(let lease, let ids):
            let count = try await ask(.work, "give back") {
                try await $0.release(worker, lease, ids)
            }
            guard let count else { return false }
            act { $0.released(count, of: lease, now: time.now()) }
        }
        return true
    }

    /// Ends what the worker holds: finished, given back, or left to the expiry of its leases when
    /// the store stays away so long.
    func drain() async {
        // Also after the queue ran empty.
        drainAndStop()
        let timeout = currentProgress == .hurrying ? .zero : configuration.drainTimeout
        let deadline = time.now() + timeout
        act { $0.recallAll() }
        emit(.draining(running: runningDocuments, timeout: timeout))
        while currentProgress != .hurrying, await isUnsettled(until: deadline) {}
        act { $0.abandonRunning() }
        while let last = held(\.lastValidity), await isUnsettled(until: last) {}
        emit(.drained(released: held(\.releasedDocuments)))
        let left = held(\.documents)
        if left > 0 { fail(StopFailure(documents: left)) }
    }

    /// Waits for a change; false when nothing is held any longer or `deadline` is over.
    private func isUnsettled(until deadline: ContinuousClock.Instant) async -> Bool {
        guard !held(\.isEmpty), time.now() < deadline else { return false }
        await settled.wait(until: deadline, time)
        return true
    }
}
