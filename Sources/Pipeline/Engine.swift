internal import Foundation
internal import Inference
internal import Jobs

/// The lanes' shared state.
///
/// `@unchecked Sendable`: every mutable field is read and written with `condition` locked, but for
/// the replicas, each of which belongs to the lane whose work names it.
final class Engine: @unchecked Sendable {
    private let library: ModelLibrary
    private let clock = ContinuousClock()
    private let condition = NSCondition()
    private let replicas: [Replica]
    let promptCache: PromptCache
    private var schedule: Schedule
    private var isStopping = false
    private var lanes = 0
    /// Of what was done; the rest is filled in when it is asked for.
    private var done = PipelineStatistics()
    /// Accepted and neither delivered nor withdrawn.
    private var documents = 0
    /// At most so many documents are accepted.
    private let capacity: Int
    /// Callers are not woken for less room than this, so that claims stay large.
    private let worthwhileRoom: Int
    private var waiters: [UUID: CheckedContinuation<Int, Never>] = [:]
    private var cancelledWaiters: Set<UUID> = []

    /// Steps between two looks at the hand-off. A decoder returns earlier when a document ends.
    private static let stepsPerTurn = 16

    init(library: ModelLibrary, settings: PipelineSettings) {
        self.library = library
        replicas = library.decoders.flatMap { decoder in
            (0..<settings.decoders).map { _ in Replica(decoder) }
        }
        promptCache = PromptCache(byteLimit: settings.promptCacheBytes)
        schedule = Schedule(
            encoders: library.encoders.count, decoders: library.decoders.count,
            bounds: Schedule.Bounds(
                replicasPerDecoder: settings.decoders, rowsPerReplica: settings.decoderRows,
                handoffCapacity: settings.handoffCapacity))
        capacity = settings.handoffCapacity + 2 * settings.decoders * settings.decoderRows
        worthwhileRoom = max(1, capacity / 4)
    }

    // MARK: From outside

    func start(lanes count: Int, pinned: Bool) {
        condition.withLock { lanes = count }
        for index in 0..<count {
            let thread = Thread { [self] in
                // From inside, or the system does not learn of it.
                Thread.current.name = "l2s lane \(index)"
                if pinned { ComputeThread.pin(to: index) }
                runLane()
            }
            thread.start()
        }
    }

    func stop() {
        condition.lock()
        isStopping = true
        condition.broadcast()
        while lanes > 0 { condition.wait() }
        let left = waiters.values
        waiters = [:]
        condition.unlock()
        for waiter in left { waiter.resume(returning: 0) }
    }

    func submit(
        _ sources: [SourceDocument], deliver: @escaping @Sendable (FinishedDocument) -> Void
    ) {
        let now = clock.now
        var accepted: [Document] = []
        for source in sources {
            if let route = library.routes[source.jobType] {
                accepted.append(Document(source, route: route, submitted: now, deliver: deliver))
            } else {
                let reason = "this worker does not know the job type \(source.jobType)"
                deliver(
                    FinishedDocument(
                        id: source.id, outcome: .failed(reason: reason),
                        measurements: Measurements()))
            }
        }
        condition.withLock {
            documents += accepted.count
            schedule.submitted(accepted)
            condition.broadcast()
        }
    }

    func withdraw(_ ids: Set<Int64>) -> Set<Int64> {
        condition.withLock {
            let taken = schedule.withdraw(ids)
            documents -= taken.count
            wakeWaiters()
            return Set(taken.map(\.source.id))
        }
    }

    func addWaiter(_ id: UUID, _ waiter: CheckedContinuation<Int, Never>) {
        condition.withLock {
            if isStopping || cancelledWaiters.remove(id) != nil {
                waiter.resume(returning: 0)
                return
            }
            waiters[id] = waiter
            wakeWaiters()
        }
    }

    func cancelWaiter(_ id: UUID) {
        condition.withLock {
            if let waiter = waiters.removeValue(forKey: id) {
                waiter.resume(returning: 0)
            } else {
                cancelledWaiters.insert(id)
            }
        }
    }

    /// A waiter that was both woken and cancelled leaves no trace.
    func forgetWaiter(_ id: UUID) {
        condition.withLock { _ = cancelledWaiters.remove(id) }
    }

    /// Call with the lock held.
    private func wakeWaiters() {
        let room = capacity - documents
        guard room >= worthwhileRoom else { return }
        for waiter in waiters.values { waiter.resume(returning: room) }
        waiters = [:]
    }

    var statistics: PipelineStatistics {
        let promptCache = promptCache.statistics
        return condition.withLock {
            var statistics = done
            statistics.promptCache = promptCache
            statistics.lanes = lanes
            statistics.capacity = capacity
            statistics.documents = documents
            schedule.describe(&statistics)
            return statistics
        }
    }

    // MARK: On the lanes

    private func runLane() {
        let workspace = Workspace()
        var last: LaneTime?
        while let work = nextWork(after: last) {
            let start = clock.now
            // Not the work itself: it would keep its documents alive while the lane rests.
            let stage: WritableKeyPath<PipelineStatistics, Duration>
            switch work {
            case .prepare(let documents):
                prepare(documents)
                stage = \.preparing
            case .encode(let encoder, let parts):
                encode(encoder, parts, workspace: workspace)
                stage = \.encoding
            case .decode(let replica, let parts):
                decode(replica, admitting: parts)
                stage = \.decodingTime
            case .rest: continue
            }
            last = (stage, start.duration(to: clock.now))
        }
        condition.withLock {
            lanes -= 1
            condition.broadcast()
        }
    }

    private typealias LaneTime = (
        stage: WritableKeyPath<PipelineStatistics, Duration>, time: Duration
    )

    private func nextWork(after last: LaneTime?) -> Schedule.Work? {
        condition.lock()
        defer { condition.unlock() }
        if let last { done[keyPath: last.stage] += last.time }
        while !isStopping {
            let work = schedule.next(now: clock.now)
            guard case .rest(let until) = work else { return work }
            if let until {
                let seconds = clock.now.duration(to: until) / .seconds(1)
                _ = condition.wait(until: Date(timeIntervalSinceNow: max(seconds, 0.001)))
            } else {
                condition.wait()
            }
        }
        return nil
    }

    private func prepare(_ documents: [Document]) {
        var parts: [Part] = []
        var rejected: [FinishedDocument?] = []
        for document in documents {
            do throws(RejectedDocument) {
                parts += try document.prepare(clock: clock)
                rejected.append(nil)
            } catch {
                rejected.append(document.finish(.rejected(reason: error.reason)))
            }
        }
        condition.withLock {
            schedule.prepared(parts)
            condition.broadcast()
        }
        deliver(
            zip(documents, rejected).compactMap { document, finished in
                finished.map { (document, $0) }
            })
    }

    private func encode(_ encoder: Int, _ parts: [Part], workspace: Workspace) {
        let start = clock.now
        let keys = parts.map {
            PromptCache.Key(
                encoder: encoder, decoder: $0.document.route.generator.decoder,
                kinds: $0.document.projectors.count, tokens: $0.tokens)
        }
        let known = promptCache.find(keys)
        handOver(
            zip(parts, known).compactMap { part, states in
                states.map {
                    EncodedPart(
                        part: part, generator: part.document.route.generator, states: $0,
                        batchWait: part.prepared.duration(to: start),
                        encode: .zero, source: .cache, finished: start)
                }
            })
        let unread = parts.indices.filter { known[$0] == nil }
        guard !unread.isEmpty else { return }
        let encoded = library.encoders[encoder].encode(
            unread.map { (parts[$0].tokens, parts[$0].document.projectors) },
            workspace: workspace)
        let now = clock.now
        promptCache.insert(zip(unread, encoded).map { (keys[$0], $1) })
        handOver(
            zip(unread, encoded).map { index, states in
                EncodedPart(
                    part: parts[index], generator: parts[index].document.route.generator,
                    states: states,
                    batchWait: parts[index].prepared.duration(to: start),
                    encode: start.duration(to: now), source: .batch(unread.count), finished: now)
            })
    }

    private func handOver(_ parts: [EncodedPart]) {
        guard !parts.isEmpty else { return }
        condition.withLock {
            // All of one call come from the cache, or from one pass of the encoder.
            if case .batch(let size) = parts.first?.source {
                done.encoderPasses += 1
                done.encodedParts += size
            }
            schedule.encoded(parts)
            schedule.handedOn(
                parts.compactMap { part in
                    guard part.part.document.isShadowed else { return nil }
                    return part.route.largeGenerator.map(part.shadow)
                })
            condition.broadcast()
        }
    }

    private func decode(_ index: Int, admitting parts: [EncodedPart]) {
        let replica = replicas[index]
        replica.admit(parts, at: clock.now)
        let written = replica.write(steps: Self.stepsPerTurn)
        let now = clock.now
        let finished = condition.withLock {
            var finished: [(Document, FinishedDocument)] = []
            for (part, response) in written {
                if let again = part.document.fallBack(part, response: response, at: now) {
                    schedule.handedOn([again])
                } else if let whole = part.document.complete(part, response: response, at: now) {
                    finished.append((part.document, whole))
                }
                note(part, response)
            }
            for document in replica.documents where document.deadline < now && !document.isOver {
                finished.append((document, document.timeOut()))
            }
            replica.dropOver()
            schedule.decoded(replica: index, rows: replica.rowCapacity)
            condition.broadcast()
            return finished
        }
        deliver(finished)
    }

    /// Counts what second models did. Call with the lock held.
    private func note(_ part: AdmittedPart, _ response: Response) {
        done.draftedTokens += response.drafted
        done.acceptedTokens += response.accepted
        switch part.encoded.role {
        case .firstChoice: break
        case .fallback: done.fallbackParts += 1
        case .shadow: done.shadowParts += 1
        }
    }

    /// Outside the lock: receivers may do as they please.
    private func deliver(_ finished: [(Document, FinishedDocument)]) {
        for (document, result) in finished { document.deliver(result) }
        guard !finished.isEmpty else { return }
        condition.withLock {
            documents -= finished.count
            wakeWaiters()
        }
    }
}
