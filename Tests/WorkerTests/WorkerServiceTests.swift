import Jobs
import Logging
import Telemetry
import TestSupport
import Testing

@testable import Worker

@Suite(.timeLimit(.minutes(15))) struct WorkerServiceTests {
    private let clock = TestClock()
    private let store = FakeStore()

    @Test func processesTheQueueAndStopsWhenItIsEmpty() async throws {
        await store.enqueue(1...300)
        await store.enqueue(301...310, "other-reader")
        let worker = worker(FakeProcessor(isInstant: true), stopsWhenEmpty: true)
        try await worker.run()
        let state = await store.state
        #expect(state.recorded.sorted() == Array(1...310))
        #expect(state.requests.allSatisfy { $0.maximumDocuments == 256 })
        #expect(state.isRetired)
    }

    @Test func claimsNoMoreThanTheEngineHasRoomFor() async throws {
        await store.enqueue(1...10)
        let engine = FakeProcessor(capacity: 4)
        let run = start(worker(engine))
        await store.until { $0.leases.values.first?.count == 4 }
        engine.takeUp(4)
        engine.finish(1)
        await store.until { $0.leases.count == 2 }
        #expect(Set(await store.state.requests.map(\.maximumDocuments).dropFirst()) == [1])
        run.task.cancel()
        try await run.task.value
    }

    @Test func anIdleWorkerWaitsForAWordAndPollsBesides() async throws {
        let run = start(worker(FakeProcessor(isInstant: true)))
        await store.until { $0.waits.count == 1 }
        await store.enqueue(1...1)
        await store.until { $0.recorded == [1] }
        run.worker.drainAndStop()
        try await run.task.value
        let waits = await store.state.waits
        #expect(waits.allSatisfy { (.milliseconds(125)...(.milliseconds(250))).contains($0) })
    }

    @Test func drains() async throws {
        await store.enqueue(1...4)
        let engine = FakeProcessor()
        let run = start(worker(engine))
        await store.until { $0.waits.count == 1 }
        engine.takeUp(2)
        run.worker.drainAndStop()
        await store.until { $0.released == [3, 4] }
        await store.enqueue(5...5)
        engine.finish(1)
        engine.finish(2)
        try await run.task.value
        let state = await store.state
        #expect(state.recorded.sorted() == [1, 2])
        #expect(state.waiting.map(\.id) == [3, 4, 5])
        #expect(state.leases.isEmpty)
        #expect(state.isRetired)
    }

    @Test func givesBackWhatOutlastsTheDrain() async throws {
        await store.enqueue(1...2)
        let engine = FakeProcessor()
        let run = start(worker(engine))
        await store.until { $0.waits.count == 1 }
        engine.takeUp(1)
        run.worker.drainAndStop()
        await store.until { $0.released == [2] }
        clock.advance(by: .seconds(10))
        await store.until { $0.released == [2, 1] }
        try await run.task.value
        engine.finish(1)
        #expect(await store.state.recorded.isEmpty)
    }

    @Test func aCancelledWorkerGivesEverythingBackAtOnce() async throws {
        await store.enqueue(1...2)
        let engine = FakeProcessor()
        let run = start(worker(engine))
        await store.until { $0.waits.count == 1 }
        engine.takeUp(1)
        run.task.cancel()
        try await run.task.value
        #expect(await store.state.released.sorted() == [1, 2])
        #expect(await store.state.leases.isEmpty)
    }

    @Test func writesUntilTheStoreIsBack() async throws {
        await store.enqueue(1...3)
        await store.fail(.complete, times: 5)
        try await worker(FakeProcessor(isInstant: true), stopsWhenEmpty: true).run()
        let state = await store.state
        #expect(state.recorded == [1, 2, 3])
        #expect(state.calls[.complete] == 6)
    }

    @Test func goesOnAfterAStaleWrite() async throws {
        await store.enqueue(1...2)
        let engine = FakeProcessor()
        let run = start(worker(engine))
        await store.until { $0.waits.count == 1 }
        engine.takeUp(2)
        await store.expireLeases()
        engine.finish(1)
        engine.finish(2)
        await store.until { $0.stale == [1, 2] }
        await store.enqueue(3...3)
        await store.until { $0.leases.count == 1 }
        engine.takeUp(1)
        engine.finish(3)
        await store.until { $0.recorded == [3] }
        run.worker.drainAndStop()
        try await run.task.value
    }

    @Test func dropsTheDocumentsOfALostLease() async throws {
        await store.enqueue(1...3)
        let engine = FakeProcessor()
        let run = start(worker(engine))
        await store.until { $0.waits.count == 1 && !$0.renewals.isEmpty }
        engine.takeUp(1)
        await store.expireLeases()
        clock.advance(by: .seconds(10))
        await store.until { $0.renewals.count == 2 }
        clock.advance(by: .seconds(10))
        // Before the third heartbeat, the worker has acted upon the answer to the second one.
        await store.until { $0.renewals.count == 3 }
        #expect(engine.withdrawn == [2, 3])
        engine.finish(1)
        run.worker.drainAndStop()
        try await run.task.value
        let state = await store.state
        #expect(state.calls[.complete] == nil)
        #expect(state.calls[.release] == nil)
    }

    @Test func fencesItselfWhenTheHeartbeatIsStuck() async throws {
        await store.stall(.renew)
        await store.enqueue(1...2)
        let engine = FakeProcessor()
        let run = start(worker(engine))
        await store.until { $0.waits.count == 1 && $0.renewals.count == 1 }
        engine.takeUp(1)
        clock.advance(by: .seconds(27))
        await store.until { $0.released == [2] }
        engine.finish(1)
        await store.until { $0.recorded == [1] }
        await store.resume(.renew)
        run.worker.drainAndStop()
        try await run.task.value
    }

    @Test func saysWhatItCouldNotGiveBack() async throws {
        await store.enqueue(1...2)
        let engine = FakeProcessor()
        let run = start(worker(engine))
        await store.until { $0.waits.count == 1 && !$0.renewals.isEmpty }
        await store.fail(.renew, times: .max)
        await store.fail(.release, times: .max)
        engine.takeUp(1)
        run.worker.drainAndStop()
        await store.until { $0.calls[.release] != nil }
        clock.advance(by: .seconds(30))
        await #expect(throws: StopFailure(documents: 2)) { try await run.task.value }
    }

    @Test func tellsTheStoreThatItDrains() async throws {
        await store.enqueue(1...1)
        let engine = FakeProcessor()
        let run = start(worker(engine))
        await store.until { $0.waits.count == 1 && !$0.renewals.isEmpty }
        engine.takeUp(1)
        run.worker.drainAndStop()
        clock.advance(by: .seconds(10))
        await store.until { $0.renewals.last == true }
        engine.finish(1)
        try await run.task.value
    }

    /// A chore that fails does so in every worker, so it must not stop them.
    @Test func aChoreThatFailsIsTriedAgainAndEndsNoWorker() async throws {
        await store.fail(.rescue, times: 2, with: .broken(reason: "no partition"))
        await store.fail(.maintain, times: 1, with: .broken(reason: "no replica identity"))
        let metrics = WorkerMetrics(version: "0", jobTypes: [])
        let run = start(worker(FakeProcessor(isInstant: true), metrics: metrics))
        try await eventually("chores are tried again") {
            clock.advance(by: .seconds(61))
            let calls = await store.state.calls
            return calls[.rescue, default: 0] >= 4 && calls[.maintain, default: 0] >= 3
        }
        await store.enqueue(1...1)
        await store.until { $0.recorded == [1] }
        run.worker.drainAndStop()
        try await run.task.value
        let family = metrics.families.first { "\($0)".contains("l2s_chores_failed") }
        #expect(family.map { "\($0)".contains("value: 3.0") } == true)
    }

    /// The metric reveals a worker that looks alive and claims nothing.
    @Test func workThatWaitsIsShown() async throws {
        let metrics = WorkerMetrics(version: "0", jobTypes: [])
        func isShown(_ value: String) -> Bool {
            metrics.families.first { "\($0)".contains("l2s_work_waiting") }
                .map { "\($0)".contains("value: \(value)") } == true
        }
        #expect(isShown("0.0"))
        await store.enqueue(1...2)
        let engine = FakeProcessor(capacity: 1)
        let run = start(worker(engine, metrics: metrics))
        try await eventually("the second is seen to wait") {
            clock.advance(by: .seconds(1))
            return isShown("1.0")
        }
        engine.takeUp(1)
        engine.finish(1)
        try await eventually("none is seen to wait") {
            clock.advance(by: .seconds(31))
            return isShown("0.0")
        }
        run.task.cancel()
        try await run.task.value
    }

    @Test func aBrokenStoreEndsTheWorker() async throws {
        await store.enqueue(1...2)
        let engine = FakeProcessor(capacity: 2)
        let run = start(worker(engine))
        await store.until { $0.leases.count == 1 }
        let error = JobStoreError.broken(reason: "no such function")
        await store.fail(.claim, times: 1, with: error)
        engine.takeUp(2)
        engine.finish(1)
        await #expect(throws: error) { try await run.task.value }
        let state = await store.state
        #expect((state.recorded + state.released).sorted() == [1, 2])
    }

    @Test func aWriteThatIsRefusedForGoodEndsTheWorkerToo() async throws {
        await store.enqueue(1...1)
        let error = JobStoreError.broken(reason: "no such function")
        await store.fail(.complete, times: 1, with: error)
        await #expect(throws: error) {
            try await worker(FakeProcessor(isInstant: true)).run()
        }
    }

    @Test func everyHeartbeatTellsTheLoad() async throws {
        let load = {
            var load = WorkerLoad()
            load.lanes = 3
            return load
        }()
        let run = start(worker(FakeProcessor(), load: load))
        await store.until { $0.waits.count == 1 && $0.loads == [load] }
        clock.advance(by: .seconds(10))
        await store.until { $0.loads == [load, load] }
        run.worker.drainAndStop()
        try await run.task.value
    }

    @Test func givesUpWhenTheStoreIsNotThereAtTheStart() async throws {
        await store.fail(.register, times: 100)
        await #expect(throws: StartFailure(tries: 6, reason: "restarting")) {
            try await worker(FakeProcessor()).run()
        }
    }

    private func worker(
        _ engine: FakeProcessor, stopsWhenEmpty: Bool = false, load: WorkerLoad? = nil,
        metrics: WorkerMetrics? = nil
    ) -> WorkerService {
        WorkerService(
            configuration: WorkerConfiguration(
                description: WorkerDescription(host: "test", processID: 1, version: "0"),
                jobTypes: [.fixture("summarize"), .fixture("other-reader", encoder: "other")],
                leaseDuration: .seconds(30), pollInterval: .milliseconds(250),
                drainTimeout: .seconds(10), stopsWhenEmpty: stopsWhenEmpty, threads: 1,
                decoders: 1),
            store: store, processor: engine, load: { load },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: metrics,
            time: clock.source)
    }

    private func start(
        _ worker: WorkerService
    ) -> (worker: WorkerService, task: Task<Void, any Error>) {
        (worker, Task { try await worker.run() })
    }
}
