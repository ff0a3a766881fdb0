package import Jobs
package import Logging
internal import ServiceLifecycle
internal import Synchronization
package import Telemetry

/// A worker from its registration to its retirement. It claims batches, lets the engine process
/// them and writes back the outcomes, under leases that it keeps alive.
///
/// When it is told to stop (graceful shutdown), it claims nothing more and gives back the documents
/// that the engine has not taken up. It waits for the others up to the drain timeout, and then
/// gives back what is left. When it is cancelled, or after an error that no retry can mend, it does
/// the same without waiting.
package final class WorkerService: Service {
    let configuration: WorkerConfiguration
    let store: any JobStore
    let processor: any DocumentProcessor
    /// Called for every heartbeat.
    let load: @Sendable () -> WorkerLoad?
    let logger: Logger
    let metrics: WorkerMetrics?
    let time: TimeSource

    /// All loops use it, and the lanes that deliver.
    private let ledger: Mutex<Ledger>
    private let outages = Mutex(Outages())
    private let failure = Mutex<(any Error)?>(nil)
    /// Fired when there may be something to write.
    let outbox = Signal()
    /// Fired when the last lease was closed, and when nobody should wait for that any longer.
    let settled = Signal()
    private let stop = Signal()
    private let progress = Mutex(Progress.working)

    enum Progress {
        case working
        /// Running documents may finish.
        case draining
        /// Running documents are given back at once.
        case hurrying
    }

    package init(
        configuration: WorkerConfiguration, store: any JobStore,
        processor: any DocumentProcessor, load: @escaping @Sendable () -> WorkerLoad? = { nil },
        logger: Logger, metrics: WorkerMetrics? = nil,
        time: TimeSource = .system
    ) {
        self.configuration = configuration
        self.store = store
        self.processor = processor
        self.load = load
        self.logger = logger
        self.metrics = metrics
        self.time = time
        ledger = Mutex(Ledger(leaseDuration: configuration.leaseDuration))
    }

    /// - Throws: `StartFailure` if the store cannot be reached at the start; `StopFailure` if it
    ///   cannot be reached at the end; `JobStoreError.broken`; what `register` throws if store and
    ///   program do not fit together.
    package func run() async throws {
        try await withGracefulShutdownHandler {
            try await withTaskCancellationHandler {
                // This is a task of its own, so that cancellation does not reach the writes that
                // record what was done.
                try await Task { try await work() }.value
            } onCancel: {
                hurry()
            }
        } onGracefulShutdown: {
            self.drainAndStop()
        }
    }

    /// Documents in the engine, for the last line of a worker that is stopped at once.
    package var runningDocuments: Int { held(\.running) }

    private func work() async throws {
        guard let id = try await register() else { return }
        emit(
            .workerStarted(
                worker: id.value, jobTypes: configuration.jobTypes.map(\.name),
                threads: configuration.threads, decoders: configuration.decoders))
        await withTaskGroup { group in
            group.addTask { await self.untilCancelled { try await self.renewLeases(id) } }
            group.addTask { await self.untilCancelled { try await self.fenceLeases() } }
            group.addTask { await self.untilCancelled { try await self.complete(id) } }
            await untilStopped {
                await withTaskGroup { group in
                    group.addTask { await self.untilCancelled { try await self.maintain(id) } }
                    await self.untilCancelled { try await self.claimBatches(id) }
                    group.cancelAll()
                }
            }
            await drain()
            group.cancelAll()
        }
        if configuration.stopsWhenEmpty {
            await untilCancelled {
                _ = try await self.ask(.chores, "finish groups") {
                    try await $0.finishGroups(atOnce: true)
                }
            }
        }
        await untilCancelled { _ = try await self.ask(.work, "retire") { try await $0.retire(id) } }
        emit(
            .workerStopped(
                worker: id.value, documents: held(\.recordedDocuments)))
        if let error = failure.withLock(\.self) { throw error }
    }

    // MARK: Stopping

    var currentProgress: Progress { progress.withLock(\.self) }

    func drainAndStop() {
        progress.withLock { if $0 == .working { $0 = .draining } }
        stop.fireForGood()
    }

    private func hurry() {
        progress.withLock { $0 = .hurrying }
        stop.fireForGood()
        settled.fire()
    }

    /// Stops the worker at once, because it cannot go on. `run` throws the first such error.
    func fail(_ error: any Error) {
        failure.withLock { if $0 == nil { $0 = error } }
        hurry()
    }

    /// Runs `body` and cancels it when the worker is told to stop.
    func untilStopped(_ body: @escaping @Sendable () async -> Void) async {
        await withTaskGroup { group in
            group.addTask(operation: body)
            group.addTask { await self.stop.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Runs a loop that ends when it is cancelled. Any other error stops the worker.
    private func untilCancelled(_ loop: () async throws -> Void) async {
        do {
            try await loop()
        } catch is CancellationError {
        } catch {
            fail(error)
        }
    }

    // MARK: The store

    /// Returns what the store answers; nil if it is unavailable. Ask again then: the store paces
    /// the tries.
    func ask<Answer>(
        _ link: Outages.Link, _ doing: String, _ call: (any JobStore) async throws -> Answer
    ) async throws -> Answer? {
        do {
            let answer = try await call(store)
            let event = outages.withLock { $0.succeeded(link, now: time.now()) }
            if let event { emit(event) }
            return answer
        } catch JobStoreError.unavailable(let reason) {
            let event = outages.withLock {
                $0.failed(link, doing: doing, reason: reason, now: time.now())
            }
            if let event { emit(event) }
            try Task.checkCancellation()
            return nil
        }
    }

    // MARK: Log, metrics and spans

    func emit(_ event: WorkerEvent) {
        logger.emit(event)
        metrics?.observe(event)
    }

    /// Reports documents whose outcome was recorded in the store.
    func tell(_ documents: [DocumentRecord], completion: Range<ContinuousClock.Instant>) {
        metrics?.recorded(
            documents, completion: completion.lowerBound.duration(to: completion.upperBound))
        DocumentSpans.emit(documents, completion: completion)
    }

    // MARK: What the ledger decided

    func held<Value: Sendable>(_ value: (Ledger) -> Value) -> Value {
        ledger.withLock { value($0) }
    }

    func decide<Value: Sendable>(_ decision: (inout Ledger) -> Value) -> Value {
        ledger.withLock { decision(&$0) }
    }

    /// Does what the ledger decides, outside its lock.
    func act(_ decision: (inout Ledger) -> [Ledger.Action]) { perform(decide(decision)) }

    private func perform(_ actions: [Ledger.Action]) {
        for action in actions {
            switch action {
            case .emit(let event): emit(event)
            case .drop(let ids): _ = processor.withdraw(ids)
            case .recall(let lease, let ids):
                let taken = processor.withdraw(ids)
                act { $0.gaveBack(taken, of: lease) }
            case .lookAtWrites: outbox.fire()
            case .close:
                // A worker that holds nothing may get suspects, so it looks for work again.
                store.interruptWait()
                if held(\.isEmpty) { settled.fire() }
            }
        }
    }
}
