package import InMemoryTracing
package import Tracing

/// A tracer in memory that continues W3C traces, as the tracers of applications do.
package struct TraceCollector: Tracer {
    package let memory = InMemoryTracer()

    package init() {}

    package var spans: [FinishedInMemorySpan] { memory.finishedSpans }

    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant, function: String, file: String, line: UInt
    ) -> InMemorySpan {
        memory.startSpan(
            operationName, context: context(), ofKind: kind, at: instant(), function: function,
            file: file, line: line)
    }

    package func forceFlush() { memory.forceFlush() }

    /// It expects a well-formed trace context.
    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let text = extractor.extract(key: "traceparent", from: carrier) else { return }
        let fields = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        context.inMemorySpanContext = InMemorySpanContext(
            traceID: fields[1], spanID: fields[2], parentSpanID: nil)
    }

    package func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {}
}

extension FinishedInMemorySpan {
    package var start: UInt64 { startInstant.nanosecondsSinceEpoch }
    package var end: UInt64 { endInstant.nanosecondsSinceEpoch }
}
