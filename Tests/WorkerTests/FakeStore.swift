import Jobs

@testable import Worker

/// A job store in memory, which fails and stalls as a test says.
actor FakeStore: JobStore {
    struct State {
        var waiting: [SourceDocument] = []
        var leases: [LeaseID: Set<Int64>] = [:]
        var recorded: [Int64] = []
        var stale: [Int64] = []
        var released: [Int64] = []
        /// The `draining` of each heartbeat.
        var renewals: [Bool] = []
        var loads: [WorkerLoad?] = []
        var requests: [ClaimRequest] = []
        var waits: [Duration] = []
        var calls: [Call: Int] = [:]
        var isRetired = false
        /// The greatest id that was enqueued.
        var lastID: Int64 = 0
    }

    enum Call: Hashable {
        case register, claim, renew, complete, release, rescue, maintain
    }

    private(set) var state = State() {
        didSet {
            for (index, observer) in observers.enumerated().reversed()
            where observer.condition(state) {
                observers.remove(at: index).continuation.resume()
            }
        }
    }
    private var observers:
        [(
            condition: @Sendable (State) -> Bool, continuation: CheckedContinuation<Void, Never>
        )] = []
    private var failures: [Call: (count: Int, error: JobStoreError)] = [:]
    private var stalled: [Call: [CheckedContinuation<Void, Never>]] = [:]
    private var lastLease: Int64 = 0
    /// The documents that each lease completed, for a call that is repeated because its answer was
    /// lost.
    private var completed: [LeaseID: Set<Int64>] = [:]
    private var claimed: [Int64: SourceDocument] = [:]
    private nonisolated let work = Signal()

    // MARK: What tests do

    func enqueue(
        _ ids: ClosedRange<Int64>, _ jobType: String = "summarize", traceparent: String? = nil
    ) {
        state.waiting += ids.map {
            SourceDocument(
                id: $0, jobType: jobType, text: "text", attempt: 1, traceparent: traceparent)
        }
        state.lastID = max(state.lastID, ids.upperBound)
        work.fire()
    }

    func fail(
        _ call: Call, times: Int, with error: JobStoreError = .unavailable(reason: "restarting")
    ) {
        failures[call] = (times, error)
    }

    /// From now on, calls do not return before `resume`.
    func stall(_ call: Call) { stalled[call] = [] }

    func resume(_ call: Call) {
        for continuation in stalled.removeValue(forKey: call) ?? [] { continuation.resume() }
    }

    /// Takes back all leases, as a rescue by another worker would.
    func expireLeases() { state.leases = [:] }

    func until(_ condition: @escaping @Sendable (State) -> Bool) async {
        if condition(state) { return }
        await withCheckedContinuation { observers.append((condition, $0)) }
    }

    // MARK: What the worker does

    func register(
        _ worker: WorkerDescription, jobTypes: [JobType]
    ) async throws -> WorkerID {
        try await begin(.register)
        return WorkerID(1)
    }

    func claim(_ request: ClaimRequest) async throws -> Claim? {
        try await begin(.claim)
        state.requests.append(request)
        let documents = state.waiting.filter { request.jobTypes.contains($0.jobType) }
            .prefix(request.maximumDocuments)
        guard !documents.isEmpty else { return nil }
        let ids = Set(documents.map(\.id))
        lastLease += 1
        state.waiting.removeAll { ids.contains($0.id) }
        for document in documents { claimed[document.id] = document }
        state.leases[LeaseID(lastLease)] = ids
        return Claim(
            lease: LeaseID(lastLease), encoder: request.encoder, lengthClass: .upTo128,
            documents: Array(documents))
    }

    func renew(
        _ worker: WorkerID, leases: [LeaseID], draining: Bool, load: WorkerLoad?
    ) async throws -> HeartbeatReply {
        state.renewals.append(draining)
        state.loads.append(load)
        try await begin(.renew)
        return HeartbeatReply(owned: Set(leases.filter { state.leases[$0] != nil }))
    }

    func complete(
        _ worker: WorkerID, _ lease: LeaseID, _ documents: [FinishedDocument]
    ) async throws -> CompletionReceipt {
        try await begin(.complete)
        var receipt = CompletionReceipt()
        for document in documents {
            if remove(document.id, from: lease) != nil {
                receipt.recorded.append(document.id)
                completed[lease, default: []].insert(document.id)
                state.recorded.append(document.id)
            } else if completed[lease]?.contains(document.id) == true {
                receipt.recorded.append(document.id)
            } else {
                receipt.stale.append(document.id)
            }
        }
        state.stale += receipt.stale
        return receipt
    }

    func release(_ worker: WorkerID, _ lease: LeaseID, _ ids: [Int64]) async throws -> Int {
        try await begin(.release)
        let held = ids.compactMap { remove($0, from: lease) }
        state.released += held.map(\.id)
        state.waiting = held + state.waiting
        return held.count
    }

    func rescueExpired() async throws -> RescueSummary {
        try await begin(.rescue)
        return RescueSummary(leases: 0, suspects: 0, dead: 0)
    }

    func promoteDelayed() -> Int { 0 }

    func finishGroups(atOnce: Bool) -> Int { 0 }

    func maintain() async throws -> MaintenanceStep {
        try await begin(.maintain)
        return MaintenanceStep()
    }

    func waitForWork(_ worker: WorkerID, jobTypes: [String], timeout: Duration) async -> Bool {
        state.waits.append(timeout)
        if state.waiting.isEmpty { await work.wait() }
        return !state.waiting.isEmpty
    }

    func hasWork(_ worker: WorkerID, jobTypes: [String]) -> Bool { !state.waiting.isEmpty }

    nonisolated func interruptWait() { work.fire() }

    func unfinished(_ jobTypes: [String]) -> Unfinished {
        Unfinished(due: state.waiting.count + state.leases.values.reduce(0) { $0 + $1.count })
    }

    func retire(_ worker: WorkerID) { state.isRetired = true }

    private func begin(_ call: Call) async throws {
        state.calls[call, default: 0] += 1
        if stalled[call] != nil {
            await withCheckedContinuation { stalled[call]?.append($0) }
        }
        if let failure = failures[call], failure.count > 0 {
            failures[call]?.count -= 1
            throw failure.error
        }
    }

    private func remove(_ id: Int64, from lease: LeaseID) -> SourceDocument? {
        guard state.leases[lease]?.remove(id) != nil else { return nil }
        if state.leases[lease] == [] { state.leases[lease] = nil }
        return claimed.removeValue(forKey: id)
    }
}
