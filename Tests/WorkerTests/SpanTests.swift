import InMemoryTracing
import Jobs
import Logging
import TestSupport
import Testing
import Tracing

@testable import Worker

/// The spans that an application's tracer gets from a worker.
@Suite(.timeLimit(.minutes(15))) struct SpanTests {
    private let store = FakeStore()
    private let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func aDocumentIsASpanWithItsStages() async throws {
        await store.enqueue(1...1, traceparent: parent)
        let spans = try await spans(FakeProcessor(isInstant: true))
        let document = try #require(spans.first { $0.operationName == "process summarize" })
        #expect(document.traceID == "0af7651916cd43dd8448eb211c80319c")
        #expect(document.parentSpanID == "b7ad6b7169203331")
        #expect(document.kind == .consumer)
        #expect(document.status == nil)
        let attributes = document.attributes
        #expect(attributes.get("messaging.message.id") == .string("1"))
        #expect(attributes.get("gen_ai.usage.input_tokens") == .int64(10))
        #expect(attributes.get("l2s.outcome") == .string("succeeded"))

        let inside = spans.filter { $0.parentSpanID == document.spanID }
        #expect(
            inside.map(\.operationName) == [
                "claim", "tokenize", "batch_wait", "encode", "handoff", "decode", "complete",
            ])
        #expect(inside.allSatisfy { $0.traceID == document.traceID })
        // Each stage is as long as the engine measured it, and begins where the one before ends.
        let stages = inside.dropFirst().dropLast()
        #expect(stages.map { ($0.end - $0.start) / 1_000_000 } == [1, 2, 4, 8, 16])
        #expect(zip(stages, stages.dropFirst()).allSatisfy { $0.end == $1.start })
        #expect(document.start == inside.first?.start)
        #expect(document.end == inside.last?.end)
        #expect(stages.last.map(\.end) ?? .max <= inside.last?.start ?? 0)
    }

    @Test func otherDocumentsAreTracesOfTheirOwn() async throws {
        await store.enqueue(1...2)
        for (index, bad) in ["", "00-nonsense", "ff-" + parent.dropFirst(3)].enumerated() {
            let id = Int64(10 + index)
            await store.enqueue(id...id, traceparent: bad)
        }
        let spans = try await spans(FakeProcessor(isInstant: true))
        let documents = spans.filter { $0.operationName.hasPrefix("process") }
        #expect(documents.count == 5)
        #expect(documents.allSatisfy { $0.parentSpanID == nil })
        #expect(Set(documents.map(\.traceID)).count == 5)
    }

    @Test func aFailureSaysWhyAndNothingElse() async throws {
        await store.enqueue(1...1)
        let engine = FakeProcessor(
            isInstant: true, outcome: .rejected(reason: "expected at most 9 tokens, found 10"))
        let spans = try await spans(engine)
        let document = try #require(spans.first { $0.operationName == "process summarize" })
        #expect(document.status?.code == .error)
        #expect(document.status?.message == "expected at most 9 tokens, found 10")
        #expect(document.attributes.get("l2s.outcome") == .string("rejected"))
    }

    /// All spans of a worker that runs until its queue is empty.
    private func spans(_ engine: FakeProcessor) async throws -> [FinishedInMemorySpan] {
        let tracer = TraceCollector()
        let worker = WorkerService(
            configuration: WorkerConfiguration(
                description: WorkerDescription(host: "test", processID: 1, version: "0"),
                jobTypes: [.fixture("summarize")], leaseDuration: .seconds(30),
                pollInterval: .milliseconds(250), drainTimeout: .seconds(10),
                stopsWhenEmpty: true, threads: 1, decoders: 1),
            store: store, processor: engine,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await withTracer(tracer) { try await worker.run() }
        #expect(tracer.memory.activeSpans.isEmpty)
        return tracer.spans
    }
}
