import Jobs
import Telemetry
import Testing

@testable import Worker

@Suite struct LedgerTests {
    private var ledger = Ledger(
        leaseDuration: .seconds(30))
    private let start = ContinuousClock.now
    private let lease = LeaseID(7)

    @Test mutating func waitsForMoreDocumentsBeforeItWrites() {
        claim(1...3)
        #expect(deliver(1, after: .zero) == [.lookAtWrites])
        #expect(deliver(2, after: .milliseconds(10)) == [])
        #expect(ledger.nextWrite(now: start + .milliseconds(49)) == nil)
        #expect(ledger.nextWriteDue == start + .milliseconds(50))
        #expect(ledger.nextWrite(now: start + .milliseconds(50))?.ids == [1, 2])
    }

    @Test mutating func writesAtOnceWhatNobodyIsWaitedFor() {
        claim(1...2)
        _ = deliver(1, after: .zero)
        #expect(deliver(2, after: .milliseconds(1)) == [.lookAtWrites])
        #expect(ledger.nextWrite(now: start + .milliseconds(1))?.ids == [1, 2])
    }

    @Test mutating func writesAtOnceWhatIsMany() {
        claim(1...65)
        for id in 1...63 { _ = deliver(Int64(id), after: .zero) }
        #expect(ledger.nextWrite(now: start) == nil)
        #expect(deliver(64, after: .zero) == [.lookAtWrites])
        #expect(ledger.nextWrite(now: start)?.ids.count == 64)
    }

    @Test mutating func repeatsAWriteUntilItIsRecorded() throws {
        claim(1...1)
        _ = deliver(1, after: .zero)
        let write = try nextWrite()
        #expect(ledger.nextWrite(now: start + .seconds(5))?.ids == write.ids)
        let actions = record(write, CompletionReceipt(recorded: [1]))
        #expect(actions.last == .close)
        #expect(ledger.nextWrite(now: start + .seconds(9)) == nil)
        #expect(ledger.isEmpty)
    }

    @Test mutating func sumsUpABatch() throws {
        claim(1...4, attempt: 3)
        for (id, outcome) in [
            (1, Outcome.succeeded(output: "a", tokens: [1])), (2, .rejected(reason: "too long")),
            (3, .failed(reason: "timeout")), (4, .succeeded(output: "b", tokens: [1])),
        ] {
            _ = ledger.delivered(.fixture(Int64(id), outcome), of: lease, now: start)
        }
        let write = try nextWrite()
        let actions = record(write, CompletionReceipt(recorded: [1, 2, 3], stale: [4]))
        var counts = BatchCounts()
        counts.documents = 3
        counts.succeeded = 1
        counts.failed = 2
        counts.tokensIn = 30
        counts.tokensOut = 3
        var times = BatchTimes()
        times.tokenize = .milliseconds(1)
        times.encode = .milliseconds(4)
        times.handoff = .milliseconds(8)
        times.decode = .milliseconds(16)
        times.completion = .milliseconds(3)
        times.total = .milliseconds(3)
        func failed(_ id: Int64, _ reason: String) -> Ledger.Action {
            .emit(
                .documentFailed(
                    id: id, jobType: "summarize", attempt: 3, reason: reason, willRetry: false))
        }
        #expect(
            actions == [
                .emit(.staleWritesRefused(lease: 7, documents: 1)), failed(2, "too long"),
                failed(3, "timeout"), .emit(.batchFinished(lease: 7, counts, times)), .close,
            ])
    }

    /// The store decides whether a failure is retried, because an attempt may have been lost in a
    /// crash.
    @Test(arguments: [true, false])
    mutating func tellsWhetherAFailureIsRetried(willRetry: Bool) throws {
        claim(1...1, attempt: 2)
        _ = ledger.delivered(.fixture(1, .failed(reason: "timeout")), of: lease, now: start)
        let write = try nextWrite()
        let receipt =
            willRetry ? CompletionReceipt(retried: [1]) : CompletionReceipt(recorded: [1])
        #expect(
            record(write, receipt).first
                == .emit(
                    .documentFailed(
                        id: 1, jobType: "summarize", attempt: 2, reason: "timeout",
                        willRetry: willRetry)))
    }

    @Test mutating func givesBackWhatWasCancelled() throws {
        claim(1...3)
        _ = deliver(1, after: .zero)
        let reply = HeartbeatReply(owned: [lease], cancelled: [lease: [1, 2]])
        #expect(ledger.renewed([lease], reply, sent: start) == [.recall(lease, [2])])
        _ = ledger.gaveBack([2], of: lease)
        let write = try nextWrite()
        #expect(write.isRelease && write.ids == [2])
        _ = ledger.released(1, of: lease, now: start)
        // A document that the engine had already finished is still written. The store drops it.
        #expect(ledger.nextWrite(now: start + .seconds(1))?.ids == [1])
    }

    @Test mutating func whatWasCancelledIsNotCounted() throws {
        claim(1...1)
        _ = deliver(1, after: .zero)
        let write = try nextWrite()
        #expect(record(write, CompletionReceipt(cancelled: [1])) == [.close])
    }

    @Test mutating func dropsWhatBelongsToALostLease() {
        claim(1...3)
        _ = deliver(1, after: .zero)
        let actions = ledger.renewed([lease], HeartbeatReply(owned: []), sent: start)
        #expect(
            actions == [.emit(.leaseLost(lease: 7, documents: 3)), .drop([2, 3]), .close])
        #expect(deliver(2, after: .seconds(1)) == [])
        #expect(ledger.nextWrite(now: start + .seconds(2)) == nil)
        #expect(ledger.isEmpty)
    }

    @Test mutating func aLeaseThatTheWriteMayHaveClosedIsNotLost() throws {
        claim(1...1)
        _ = deliver(1, after: .zero)
        let write = try nextWrite()
        #expect(ledger.renewed([lease], HeartbeatReply(owned: []), sent: start) == [])
        #expect(record(write, CompletionReceipt(recorded: [1])).contains(.close))
    }

    @Test mutating func onlyLeasesThatWereAskedForAreJudged() {
        claim(1...1)
        #expect(ledger.renewed([], HeartbeatReply(owned: []), sent: start) == [])
        #expect(ledger.leases == [lease])
    }

    @Test mutating func aDocumentUnderASecondLeaseTellsThatTheFirstIsLost() {
        claim(1...2)
        let actions = ledger.claimed(.fixture(8, [2]), asked: start, now: start)
        #expect(
            actions.prefix(2) == [.emit(.leaseLost(lease: 7, documents: 2)), .drop([1, 2])])
        #expect(deliver(2, after: .zero) == [])
        #expect(ledger.leases == [LeaseID(8)])
        #expect(ledger.running == 1)
    }

    @Test mutating func fencesItselfBeforeTheLeaseRunsOut() throws {
        claim(1...2)
        _ = deliver(1, after: .zero)
        #expect(ledger.nextFence == start + .seconds(27))
        #expect(ledger.fence(now: start + .seconds(26)) == [])
        #expect(
            ledger.fence(now: start + .seconds(27)) == [
                .emit(.leaseOverdue(lease: 7, documents: 2)), .recall(lease, [2]),
            ])
        #expect(ledger.fence(now: start + .seconds(28)) == [])
        // Finished documents are still offered to the store, which decides.
        #expect(ledger.nextWrite(now: start + .seconds(28))?.ids == [1])
        // A renewal that comes late still counts.
        _ = ledger.renewed([lease], HeartbeatReply(owned: [lease]), sent: start + .seconds(28))
        #expect(ledger.nextFence == start + .seconds(55))
    }

    @Test mutating func givesBackWhatTheEngineHadNotTakenUp() throws {
        claim(1...3)
        #expect(ledger.recallAll() == [.recall(lease, [1, 2, 3])])
        #expect(ledger.gaveBack([2, 3], of: lease) == [.lookAtWrites])
        let write = try nextWrite()
        #expect(write.isRelease && write.ids == [2, 3])
        #expect(ledger.released(2, of: lease, now: start) == [])
        #expect(ledger.running == 1)
        _ = ledger.abandonRunning()
        #expect(ledger.nextWrite(now: start)?.ids == [1])
        #expect(ledger.released(1, of: lease, now: start) == [.close])
        #expect(ledger.releasedDocuments == 3)
    }

    private mutating func claim(_ ids: ClosedRange<Int64>, attempt: Int = 1) {
        _ = ledger.claimed(
            .fixture(lease.value, Array(ids), attempt: attempt), asked: start, now: start)
    }

    private mutating func deliver(_ id: Int64, after: Duration) -> [Ledger.Action] {
        ledger.delivered(.fixture(id), of: lease, now: start + after)
    }

    private mutating func nextWrite() throws -> Ledger.Write {
        let write = ledger.nextWrite(now: start)
        return try #require(write)
    }

    private mutating func record(
        _ write: Ledger.Write, _ receipt: CompletionReceipt
    ) -> [Ledger.Action] {
        guard case .complete(let lease, let delivered) = write else { return [] }
        return ledger.recorded(
            delivered, of: lease, receipt, from: start, to: start + .milliseconds(3))
    }
}

extension Ledger.Write {
    fileprivate var ids: [Int64] {
        switch self {
        case .complete(_, let delivered): delivered.map(\.id)
        case .release(_, let ids): ids
        }
    }

    fileprivate var isRelease: Bool {
        if case .release = self { true } else { false }
    }
}
