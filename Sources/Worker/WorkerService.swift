package import Jobs
package import Logging
internal import ServiceLifecycle
internal import Synchronization
package import Telemetry

/// A worker from its registration to its retirement: claims batches, has the engine process them
/// and writes back what came out, under leases that it keeps alive.
///
/// Told to stop (graceful shutdown), it stops claiming, gives back what the engine has not taken
/// up, waits for the rest up to the drain timeout and gives back what is left even then. Cancelled,
/// or after an error that no retry can mend, it does the same without waiting.
package final class WorkerService: Service {
    let configuration: WorkerConfiguration
    let store: any JobStore
    let processor: any DocumentProcessor
    /// Asked for with every heartbeat.
    let load: @Sendable () -> WorkerLoad?
    let logger: Logger
    let metrics: WorkerMetrics?
    let time: TimeSource

    /// Read and written by all loops and by the lanes that deliver.
    private let ledger: Mutex<Ledger>
    private let outages = Mutex(Outages())
    private let failure = Mutex<(any Error)?>(nil)
    /// There may be something to write.
    let outbox = Signal()
    /// The last lease was closed, or nobody should wait for that any longer.
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

    /// - Throws: `StartFailure` when the store cannot be reached at the start, `StopFailure` when it
    ///   cannot be at the end, what `register` throws when it does not fit, and what the store calls
    ///   broken.
    package func run() async throws {
        try await withGracefulShutdownHandler {
            try await withTaskCancellationHandler {
                // A task of its own, because cancellation must not reach the writes that record
                // what was done.
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

    /// The worker cannot go on.
    func fail(_ error: any Error) {
        failure.withLock { if $0 == nil { $0 = error } }
        hurry()
    }

    /// Runs `body`; it is cancelled when the worker is told to stop.
    func untilStopped(_ body: @escaping @Sendable () async -> Void) async {
        await withTaskGroup { group in
            group.addTask(operation: body)
            group.addTask { await self.stop.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Runs a loop that ends by being cancelled. Any other error is the worker's.
    private func untilCancelled(_ loop: () async throws -> Void) async {
        do {
            try await loop()
        } catch is CancellationError {
        } catch {
            fail(error)
        }
    }

    // MARK: The store

    /// What the store answers; nil when it is unavailable: ask again, it paces the attempts.
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

    // MARK: What is told

    func emit(_ event: WorkerEvent) {
        logger.emit(event)
        metrics?.observe(event)
    }

    /// Tells of attempts whose end is in the store.
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
                // Suspects are only given to a worker that holds nothing else.
                store.interruptWait()
                if held(\.isEmpty) { settled.fire() }
            }
        }
    }
}
