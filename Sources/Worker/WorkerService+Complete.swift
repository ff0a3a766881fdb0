internal import Jobs
internal import Telemetry

extension WorkerService {
    /// Writes back until it is cancelled. A write is repeated until it succeeds or its lease is
    /// known to be lost. This is safe, because the store takes no document twice.
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
                // The time of the first try is kept until the write succeeds.
                started = try await self.write(write, of: worker, from: start) ? nil : start
            } catch let error where !(error is CancellationError) {
                // No retry can help. The documents of other leases can still be written.
                fail(error)
                started = nil
                act { $0.lose(write.lease) }
            }
        }
    }

    /// Sends a write to the store. Returns false if the store is unavailable.
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

    /// Finishes or gives back all documents that the worker holds. If the store cannot be reached
    /// for so long, their leases run out.
    func drain() async {
        // The worker may come here without a request to stop: because the queue is empty.
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

    /// Waits for a change. Returns false if no lease is held any longer or `deadline` is over.
    private func isUnsettled(until deadline: ContinuousClock.Instant) async -> Bool {
        guard !held(\.isEmpty), time.now() < deadline else { return false }
        await settled.wait(until: deadline, time)
        return true
    }
}
