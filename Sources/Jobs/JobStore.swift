/// The queue as a worker sees it.
///
/// Every call may throw `JobStoreError.unavailable`. The caller may call again at once, because the
/// store itself paces the attempts. Each call is safe to repeat when its outcome is unknown. A
/// claim whose answer was lost is taken back when its lease runs out.
package protocol JobStore: Sendable {
    /// Makes the worker and its job types known. Throws when store and program do not fit together.
    func register(_ worker: WorkerDescription, jobTypes: [JobType]) async throws -> WorkerID

    /// The next batch, of one length class; nil if there is none for this worker now.
    ///
    /// Do not call it concurrently for one worker: it must not hold suspects beside other
    /// documents.
    func claim(_ request: ClaimRequest) async throws -> Claim?

    /// The heartbeat. Call it several times per lease duration, and also without leases.
    ///
    /// - Parameter load: shown to operators until the next heartbeat; nil if nothing measures it.
    func renew(
        _ worker: WorkerID, leases: [LeaseID], draining: Bool, load: WorkerLoad?
    ) async throws -> HeartbeatReply

    /// Writes back all or a part of a batch. The lease closes with its last document. If the lease
    /// is not this worker's, all documents are stale.
    func complete(
        _ worker: WorkerID, _ lease: LeaseID, _ documents: [FinishedDocument]
    ) async throws -> CompletionReceipt

    /// Gives documents back without counting an attempt, and ends those that were cancelled.
    /// Returns how many of them the worker's lease still held.
    @discardableResult
    func release(_ worker: WorkerID, _ lease: LeaseID, _ ids: [Int64]) async throws -> Int

    /// Takes back a bounded number of leases that ran out while other workers sent heartbeats.
    /// Every worker calls it about once a second.
    func rescueExpired() async throws -> RescueSummary

    /// Makes delayed documents ready whose time has come, a bounded number. Returns how many.
    func promoteDelayed() async throws -> Int

    /// Notes the groups that have nothing left to do, and notifies those who wait for them. Returns
    /// how many.
    ///
    /// - Parameter atOnce: false does nothing if another worker did it a moment ago.
    @discardableResult
    func finishGroups(atOnce: Bool) async throws -> Int

    /// Does a piece of maintenance, such as retention or statistics, if nobody did it lately.
    func maintain() async throws -> MaintenanceStep

    /// Returns true as soon as there may be something to claim, and false after `timeout`, a call
    /// of `interruptWait` or cancellation. After false there may be work, too, if a notification
    /// was lost.
    func waitForWork(
        _ worker: WorkerID, jobTypes: [String], timeout: Duration
    ) async throws -> Bool

    /// Whether there are waiting documents that the worker might claim.
    func hasWork(_ worker: WorkerID, jobTypes: [String]) async throws -> Bool

    /// Ends the wait in progress, or else the next one.
    func interruptWait()

    /// How many documents of these types are not finished.
    func unfinished(_ jobTypes: [String]) async throws -> Unfinished

    /// The last call of a worker that stops in order.
    func retire(_ worker: WorkerID) async throws
}

package enum JobStoreError: Error, Equatable {
    /// The store cannot be reached now. The call may or may not have taken effect.
    case unavailable(reason: String)
    /// A defect: the store understood the call and refuses it, or its answer makes no sense.
    case broken(reason: String)
}

extension JobStoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unavailable(let reason): "the job store is unavailable: \(reason)"
        case .broken(let reason): "the job store does not work as expected: \(reason)"
        }
    }
}
