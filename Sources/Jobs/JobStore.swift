/// The queue as a worker sees it.
///
/// Every call may throw `JobStoreError.unavailable`: call again, the store itself paces the
/// attempts. Each call is safe to repeat when its outcome is unknown; a claim whose answer was lost
/// is taken back when its lease runs out.
package protocol JobStore: Sendable {
    /// Makes worker and job types known. Throws when store and program do not fit together.
    func register(_ worker: WorkerDescription, jobTypes: [JobType]) async throws -> WorkerID

    /// The next batch, of one length class; nil when there is none for this worker now.
    ///
    /// Not to be called concurrently for one worker: suspects must not meet other documents.
    func claim(_ request: ClaimRequest) async throws -> Claim?

    /// Heartbeat: to be called several times per lease duration, and without leases too.
    ///
    /// - Parameter load: kept for operators until the next heartbeat; nil where nothing measures it.
    func renew(
        _ worker: WorkerID, leases: [LeaseID], draining: Bool, load: WorkerLoad?
    ) async throws -> HeartbeatReply

    /// Writes back all or a part of a batch; the lease closes with its last document. To a worker that
    /// is not the lease's, all of it is stale.
    func complete(
        _ worker: WorkerID, _ lease: LeaseID, _ documents: [FinishedDocument]
    ) async throws -> CompletionReceipt

    /// Gives documents back without counting an attempt, or ends those that were cancelled; returns how
    /// many the worker's lease still held.
    @discardableResult
    func release(_ worker: WorkerID, _ lease: LeaseID, _ ids: [Int64]) async throws -> Int

    /// Takes back a bounded number of leases that ran out while other workers were heard of. For any
    /// worker, every second or so.
    func rescueExpired() async throws -> RescueSummary

    /// Makes a bounded number of delayed documents ready whose time has come; returns how many.
    func promoteDelayed() async throws -> Int

    /// Notes the groups of which nothing is left to do and tells who listens; returns how many.
    ///
    /// - Parameter atOnce: false leaves it to whoever did so a moment ago.
    @discardableResult
    func finishGroups(atOnce: Bool) async throws -> Int

    /// Does a piece of what keeps the store in shape, when nobody did lately: retention, statistics.
    func maintain() async throws -> MaintenanceStep

    /// Returns true as soon as there may be something to claim; false after `timeout`, a call of
    /// `interruptWait` or cancellation. There may be work after false too: a lost notification.
    func waitForWork(
        _ worker: WorkerID, jobTypes: [String], timeout: Duration
    ) async throws -> Bool

    /// Whether documents wait that the worker might claim.
    func hasWork(_ worker: WorkerID, jobTypes: [String]) async throws -> Bool

    /// Ends the wait in progress, or else the next one.
    func interruptWait()

    /// How many documents of these types are not finished.
    func unfinished(_ jobTypes: [String]) async throws -> Unfinished

    /// The last call of a worker that stops in order.
    func retire(_ worker: WorkerID) async throws
}

package enum JobStoreError: Error, Equatable {
    /// For now; the call may or may not have taken effect.
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
