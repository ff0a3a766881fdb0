internal import Jobs
internal import Telemetry

extension WorkerService {
    /// Registers the worker; nil if it is told to stop before the store answers.
    ///
    /// - Throws: `StartFailure`, and what the store throws when it does not fit.
    func register() async throws -> WorkerID? {
        let attempt = Task {
            var reason = ""
            for number in 1...WorkerConfiguration.startTries {
                do {
                    return try await store.register(
                        configuration.description, jobTypes: configuration.jobTypes)
                } catch JobStoreError.unavailable(let words) {
                    reason = words
                    let doing = "register, try \(number) of \(WorkerConfiguration.startTries)"
                    emit(.storeUnavailable(doing: doing, reason: words))
                }
            }
            throw StartFailure(tries: WorkerConfiguration.startTries, reason: reason)
        }
        await untilStopped {
            await withTaskCancellationHandler {
                _ = await attempt.result
            } onCancel: {
                attempt.cancel()
            }
        }
        do {
            return try await attempt.value
        } catch is CancellationError {
            return nil
        }
    }

    /// Keeps the engine full. Returns when the queue is empty, if the worker is to stop then.
    func claimBatches(_ worker: WorkerID) async throws {
        var encoders = EncoderTurns(configuration.jobTypes)
        while !Task.isCancelled {
            // Back-pressure: nothing is claimed while the engine is full. No room also means that
            // the task was cancelled.
            let room = await processor.waitForRoom()
            guard room > 0 else { continue }
            var isFound = false
            for _ in 0..<encoders.count where !isFound && !Task.isCancelled {
                isFound = try await claim(worker, encoders.next(), room: room)
            }
            if isFound { continue }
            if configuration.stopsWhenEmpty, try await isQueueEmpty() { return }
            // Chance makes the time shorter, so that the workers of a fleet do not poll all at
            // once.
            let timeout = configuration.pollInterval * Double.random(in: 0.5...1)
            _ = try await ask(.work, "wait for work") {
                try await $0.waitForWork(
                    worker, jobTypes: configuration.jobTypes.map(\.name), timeout: timeout)
            }
        }
    }

    private func claim(
        _ worker: WorkerID, _ encoder: EncoderTurns.Turn, room: Int
    ) async throws -> Bool {
        let asked = time.now()
        let request = ClaimRequest(
            worker: worker, encoder: encoder.name, jobTypes: encoder.jobTypes,
            maximumDocuments: min(room, WorkerConfiguration.claimDocuments),
            maximumTokens: WorkerConfiguration.claimTokens,
            leaseDuration: configuration.leaseDuration, fields: encoder.fields)
        guard let answer = try await ask(.work, "claim", { try await $0.claim(request) }),
            let claim = answer
        else { return false }
        act { $0.claimed(claim, asked: asked, now: time.now()) }
        processor.submit(claim.documents) { [self] document in
            act { $0.delivered(document, of: claim.lease, now: time.now()) }
        }
        return true
    }

    /// Whether no document is left that a worker could process now or after the delay of a retry.
    private func isQueueEmpty() async throws -> Bool {
        let names = configuration.jobTypes.map(\.name)
        guard let left = try await ask(.work, "count", { try await $0.unfinished(names) }),
            left.due == 0
        else { return false }
        if left.scheduled + left.paused > 0 {
            emit(.leftForLater(scheduled: left.scheduled, paused: left.paused))
        }
        return true
    }

    /// Does the chores of all workers about once a second: takes back expired leases, makes delayed
    /// documents ready and notes finished groups. More seldom, it maintains the tables and looks
    /// whether work waits.
    func maintain(_ worker: WorkerID) async throws {
        var nextMaintenance = time.now()
        while true {
            try await time.pause(
                for: WorkerConfiguration.maintenanceInterval * Double.random(in: 0.75...1.25))
            try await rescue()
            _ = try await chore("promote") { try await $0.promoteDelayed() }
            _ = try await chore("finish groups") { try await $0.finishGroups(atOnce: false) }
            guard time.now() >= nextMaintenance else { continue }
            let names = configuration.jobTypes.map(\.name)
            if let waits = try await chore(
                "look for work", { try await $0.hasWork(worker, jobTypes: names) })
            {
                metrics?.looked(workWaits: waits)
            }
            // The rest of the maintenance waits for the next rounds, so that it does not delay
            // rescues.
            if try await !maintainTables() {
                nextMaintenance = time.now() + WorkerConfiguration.tableInterval
            }
        }
    }

    private func rescue() async throws {
        guard let rescued = try await chore("rescue", { try await $0.rescueExpired() }) else {
            return
        }
        for failure in rescued.failures { emit(.choreFailed(chore: "rescue", reason: failure)) }
        guard rescued.leases > 0 else { return }
        emit(
            .leasesRescued(leases: rescued.leases, documents: rescued.suspects + rescued.dead))
        for name in rescued.paused { emit(.jobTypePaused(jobType: name)) }
    }

    /// Maintains the tables for about a second. Returns whether more is left to do.
    private func maintainTables() async throws -> Bool {
        let end = time.now() + WorkerConfiguration.maintenanceInterval
        while let step = try await chore("maintain", { try await $0.maintain() }) {
            for line in step.done { emit(.maintained(what: line)) }
            for failure in step.failures { emit(.choreFailed(chore: "maintain", reason: failure)) }
            guard step.hasMore else { return false }
            if time.now() >= end { return true }
        }
        return false
    }

    /// What the store answers to a chore; nil if it is unavailable or the chore failed. A failed
    /// chore is logged and tried again in the next round. The worker does not stop, because the
    /// chore would fail in every other worker, too.
    private func chore<Answer>(
        _ name: String, _ call: (any JobStore) async throws -> Answer
    ) async throws -> Answer? {
        do {
            return try await ask(.chores, name, call)
        } catch JobStoreError.broken(let reason) {
            emit(.choreFailed(chore: name, reason: reason))
            return nil
        }
    }
}

/// Lets the encoders claim in turn, so that a long queue of one does not starve another.
struct EncoderTurns {
    struct Turn: Equatable {
        let name: String
        let jobTypes: [String]
        /// Names of the metadata fields that the job types use.
        let fields: [String]
    }

    private let all: [Turn]
    private var place = 0

    init(_ jobTypes: [JobType]) {
        all = Dictionary(grouping: jobTypes, by: \.encoder)
            .map {
                Turn(
                    name: $0, jobTypes: $1.map(\.name),
                    fields: Set($1.flatMap(\.fields)).sorted())
            }
            .sorted { $0.name < $1.name }
    }

    var count: Int { all.count }

    mutating func next() -> Turn {
        defer { place = (place + 1) % all.count }
        return all[place]
    }
}
