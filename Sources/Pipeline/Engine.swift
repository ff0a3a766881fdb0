internal import Foundation
internal import Inference
internal import Jobs
internal import Synchronization

/// The lanes' shared state.
///
/// `@unchecked Sendable`: mutable fields are read and written only with `condition` locked.
/// Replicas are the exception: each belongs to the lane whose work names it.
final class Engine: @unchecked Sendable {
    private let library: ModelLibrary
    private let clock = ContinuousClock()
    private let condition = NSCondition()
    private let replicas: [Replica]
    let promptCache: PromptCache
    private var schedule: Schedule<Document, Part, EncodedPart>
    private var admission: Admission<CheckedContinuation<Int, Never>>
    private var isStopping = false
    private var lanes = 0
    /// One for each lane.
    private var crews: [LaneCrew] = []
    /// Lanes that sleep.
    private var resting = 0
    /// Rises when there is news for the lanes. A lane that helps another one then stops helping.
    private let news = Atomic<Int>(0)
    /// Counters only; `statistics` adds the current lengths of the queues.
    private var done = PipelineStatistics()

    /// Steps between two looks at the hand-off. A replica returns earlier when it completes a part.
    private static let stepsPerTurn = 16
    /// The most lanes that help one other lane. With more, the pieces of a product are too small.
    private static let mostHelpers = 7

    private struct LaneCrew {
        let crew = Crew()
        var helpers = 0
        /// Whether the lane is busy with work that others can share.
        var isOpen = false
    }

    init(library: ModelLibrary, settings: PipelineSettings) {
        self.library = library
        replicas = library.decoders.flatMap { decoder in
            (0..<settings.decoders).map { _ in Replica(decoder) }
        }
        promptCache = PromptCache(byteLimit: settings.promptCacheBytes)
        schedule = Schedule(
            encoders: library.encoders.count, decoders: library.decoders.count,
            bounds: ScheduleBounds(
                replicasPerDecoder: settings.decoders, rowsPerReplica: settings.decoderRows,
                handoffCapacity: settings.handoffCapacity))
        admission = Admission(
            capacity: settings.handoffCapacity + 2 * settings.decoders * settings.decoderRows)
    }

    // MARK: From outside

    func start(lanes count: Int, pinned: Bool) {
        condition.withLock {
            lanes = count
            crews = (0..<count).map { _ in LaneCrew() }
        }
        for index in 0..<count {
            let thread = Thread { [self] in
                // Set from inside the thread: otherwise the system does not learn the name.
                Thread.current.name = "l2s lane \(index)"
                if pinned { ComputeThread.pin(to: index) }
                runLane(index)
            }
            thread.start()
        }
    }

    func stop() {
        condition.lock()
        isStopping = true
        announce()
        while lanes > 0 { condition.wait() }
        condition.unlock()
        answer { $0.close() }
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
            admission.accept(accepted.count)
            schedule.submitted(accepted)
            announce()
        }
    }

    func withdraw(_ ids: Set<Int64>) -> Set<Int64> {
        let taken = condition.withLock { schedule.withdraw(ids) }
        answer { $0.release(taken.count) }
        return Set(taken.map(\.source.id))
    }

    /// Changes the number of documents in the pipeline or the waiters for room, and resumes those
    /// that need not wait any longer.
    func answer(
        _ change: (inout Admission<CheckedContinuation<Int, Never>>) ->
            Admission<CheckedContinuation<Int, Never>>.Answers
    ) {
        let answers = condition.withLock { change(&admission) }
        for waiter in answers.waiters { waiter.resume(returning: answers.room) }
    }

    /// Forgets a waiter whose wait is over.
    func forgetWaiter(_ id: UUID) { condition.withLock { admission.forget(id) } }

    var statistics: PipelineStatistics {
        let promptCache = promptCache.statistics
        return condition.withLock {
            var statistics = done
            statistics.promptCache = promptCache
            statistics.lanes = lanes
            statistics.capacity = admission.capacity
            statistics.documents = admission.documents
            schedule.describe(&statistics)
            return statistics
        }
    }

    // MARK: On the lanes

    private func runLane(_ lane: Int) {
        let workspace = Workspace()
        let crew = condition.withLock { crews[lane].crew }
        workspace.crew = crew
        var last: LaneTime?
        while let work = nextWork(of: lane, after: last, workspace: workspace) {
            let start = clock.now
            // The stage is kept and not the work, whose documents would live while the lane rests.
            let stage: WritableKeyPath<PipelineStatistics, Duration>
            switch work {
            case .prepare(let documents):
                prepare(documents)
                stage = \.preparing
            case .encode(let encoder, let parts):
                encode(encoder, parts, workspace: workspace)
                stage = \.encoding
            case .decode(let replica, let parts):
                decode(replica, admitting: parts, crew: crew)
                stage = \.decodingTime
            case .rest: continue
            }
            last = (stage, start.duration(to: clock.now))
        }
        condition.withLock {
            lanes -= 1
            announce()
        }
    }

    private typealias LaneTime = (
        stage: WritableKeyPath<PipelineStatistics, Duration>, time: Duration
    )

    /// Waits for work of the lane's own and helps other lanes meanwhile. Nil when the engine stops.
    private func nextWork(
        of lane: Int, after last: LaneTime?, workspace: Workspace
    ) -> Schedule<Document, Part, EncodedPart>.Work? {
        condition.lock()
        defer { condition.unlock() }
        if let last { done[keyPath: last.stage] += last.time }
        crews[lane].isOpen = false
        // The lanes that helped this one look for other work.
        news.add(1, ordering: .relaxed)
        while !isStopping {
            let work = schedule.next(now: clock.now)
            switch work {
            case .rest(let until): rest(until: until, workspace: workspace)
            case .prepare: return work
            case .encode, .decode:
                crews[lane].isOpen = true
                if resting > 0 { condition.broadcast() }
                return work
            }
        }
        return nil
    }

    /// Helps the lane with the fewest helpers, or sleeps if no lane can be helped. Call with the
    /// lock held.
    private func rest(until deadline: ContinuousClock.Instant?, workspace: Workspace) {
        let open = crews.indices.filter {
            crews[$0].isOpen && crews[$0].helpers < Self.mostHelpers
        }
        if let lane = open.min(by: { crews[$0].helpers < crews[$1].helpers }) {
            let crew = crews[lane].crew
            let seen = news.load(ordering: .relaxed)
            crews[lane].helpers += 1
            condition.unlock()
            crew.help(with: workspace) {
                news.load(ordering: .relaxed) != seen || deadline.map { $0 <= clock.now } ?? false
            }
            condition.lock()
            crews[lane].helpers -= 1
            return
        }
        resting += 1
        if let deadline {
            let seconds = clock.now.duration(to: deadline) / .seconds(1)
            _ = condition.wait(until: Date(timeIntervalSinceNow: max(seconds, 0.001)))
        } else {
            condition.wait()
        }
        resting -= 1
    }

    /// Wakes sleeping lanes and calls back lanes that help others. Call with the lock held.
    private func announce() {
        news.add(1, ordering: .relaxed)
        condition.broadcast()
    }

    private func prepare(_ documents: [Document]) {
        var parts: [Part] = []
        var rejected: [FinishedDocument?] = []
        var last: Document?
        for document in documents {
            // What is late when its turn comes is not worth any work.
            guard document.deadline >= clock.now else {
                rejected.append(document.timeOut())
                continue
            }
            do throws(RejectedDocument) {
                parts += try document.prepare(like: last, clock: clock)
                last = document
                rejected.append(nil)
            } catch {
                rejected.append(document.finish(.rejected(reason: error.reason)))
            }
        }
        condition.withLock {
            schedule.prepared(parts)
            announce()
        }
        deliver(
            zip(documents, rejected).compactMap { document, finished in
                finished.map { (document, $0) }
            })
    }

    /// Reads each prompt once and hands its states to all parts with that prompt.
    private func encode(_ encoder: Int, _ parts: [Part], workspace: Workspace) {
        let start = clock.now
        var readings = Reading.grouping(parts)
        promptCache.fill(&readings)
        var known: [EncodedPart] = []
        for index in readings.indices {
            for part in readings[index].takeKnown() {
                known.append(readings[index].encoded(part, .cache, start: start, now: start))
            }
        }
        handOver(known, of: readings.filter(\.parts.isEmpty), now: start)
        var unread = readings.filter { !$0.parts.isEmpty }
        guard !unread.isEmpty else { return }
        let projectors = unread.map(\.missingProjectors)
        let read = library.encoders[encoder].encode(
            zip(unread, projectors).map { reading, projectors in
                (reading.prompt.tokens, projectors.map { library.projectors[$0] })
            }, workspace: workspace)
        let now = clock.now
        var encoded: [EncodedPart] = []
        for index in unread.indices {
            promptCache.insert(read[index], of: projectors[index], prompt: unread[index].prompt)
            unread[index].learn(read[index], of: projectors[index])
            var source = EncodeSource.batch(unread.count)
            for part in unread[index].takeKnown() {
                encoded.append(unread[index].encoded(part, source, start: start, now: now))
                source = .shared
            }
        }
        condition.withLock {
            done.encoderPasses += 1
            done.encodedParts += unread.count
        }
        handOver(encoded, of: unread, now: now)
    }

    /// Hands parts over to the decoders, together with those that came to share these readings.
    ///
    /// - Parameter readings: the readings that ended.
    private func handOver(
        _ parts: [EncodedPart], of readings: [Reading], now: ContinuousClock.Instant
    ) {
        guard !parts.isEmpty || !readings.isEmpty else { return }
        condition.withLock {
            var parts = parts
            for var reading in readings {
                reading.join(schedule.readingEnded(reading.prompt))
                parts += reading.takeKnown().map {
                    reading.encoded($0, .shared, start: now, now: now)
                }
                schedule.unread(reading.parts)
            }
            done.sharedReadings += parts.count { $0.source == .shared }
            schedule.encoded(parts)
            schedule.handedOn(
                parts.compactMap { part in
                    guard part.part.document.isShadowed else { return nil }
                    return part.route.largeGenerator.map(part.shadow)
                })
            announce()
        }
    }

    private func decode(_ index: Int, admitting parts: [EncodedPart], crew: Crew) {
        let replica = replicas[index]
        replica.admit(parts, at: clock.now, crew: crew)
        let written = replica.write(steps: Self.stepsPerTurn)
        let now = clock.now
        let finished = condition.withLock {
            var finished: [(Document, FinishedDocument)] = []
            for (part, response) in written {
                if let again = part.document.fallBack(part, response: response, at: now) {
                    schedule.handedOn([again])
                } else if let whole = part.document.complete(part, response: response, at: now) {
                    finished.append((part.document, whole))
                } else if part.document.takesAnotherRound() {
                    schedule.submitted([part.document])
                }
                note(part, response)
            }
            for document in replica.documents where document.deadline < now && !document.isOver {
                finished.append((document, document.timeOut()))
            }
            replica.dropOver()
            schedule.decoded(replica: index, rows: replica.rowCapacity)
            announce()
            return finished
        }
        deliver(finished)
    }

    /// Counts what second models did. Call with the lock held.
    private func note(_ part: EncodedPart, _ response: Response) {
        done.draftedTokens += response.drafted
        done.acceptedTokens += response.accepted
        switch part.role {
        case .firstChoice: break
        case .fallback: done.fallbackParts += 1
        case .shadow: done.shadowParts += 1
        }
    }

    /// Call without the lock, because a receiver may call the engine.
    private func deliver(_ finished: [(Document, FinishedDocument)]) {
        for (document, result) in finished { document.deliver(result) }
        if !finished.isEmpty { answer { $0.release(finished.count) } }
    }
}
