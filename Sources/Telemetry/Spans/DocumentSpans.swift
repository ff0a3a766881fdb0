internal import Jobs
internal import Tracing

/// Spans of attempts that ended. Each attempt is a span; within it the claim, every stage in the
/// engine, and the completion are spans, too.
///
/// Spans are made afterwards, from times that are measured anyway. So the lanes know nothing of
/// tracing, and without a tracer a completion costs one check. Names and attributes follow
/// OpenTelemetry's conventions for messaging and generative AI; none holds a text.
package enum DocumentSpans {
    /// Emits the spans if a tracer is bootstrapped.
    ///
    /// - Parameter completion: start and end of the one call that recorded all `documents`.
    package static func emit(
        _ documents: [DocumentRecord], completion: Range<ContinuousClock.Instant>
    ) {
        let tracer = InstrumentationSystem.tracer
        guard !(tracer is NoOpTracer) else { return }
        let clock = WallClock()
        for document in documents { emit(document, completion, to: tracer, clock) }
    }

    private static func emit(
        _ document: DocumentRecord, _ completion: Range<ContinuousClock.Instant>,
        to tracer: some Tracer, _ clock: WallClock
    ) {
        let span = tracer.startSpan(
            "process \(document.claimed.jobType)", context: context(document), ofKind: .consumer,
            at: clock.timestamp(document.claimed.claim.lowerBound))
        let measured = document.measurements
        span.updateAttributes { attributes in
            attributes["messaging.system"] = "l2s"
            attributes["messaging.operation.type"] = "process"
            attributes["messaging.destination.name"] = document.claimed.jobType
            attributes["messaging.message.id"] = String(document.id)
            attributes["gen_ai.request.model"] = measured.model
            attributes["gen_ai.usage.input_tokens"] = measured.tokensIn
            attributes["gen_ai.usage.output_tokens"] = measured.tokensOut
            attributes["l2s.mode"] = measured.mode
            attributes["l2s.attempt"] = document.claimed.attempt
            attributes["l2s.outcome"] = document.outcome.rawValue
            if let size = measured.encodeSource?.batchSize { attributes["l2s.batch_size"] = size }
            if let source = measured.encodeSource?.word { attributes["l2s.encode_source"] = source }
        }
        if let reason = document.reason {
            span.setStatus(SpanStatus(code: .error, message: reason))
        }
        let parts =
            [("claim", document.claimed.claim)] + document.placedStages + [("complete", completion)]
        for (name, time) in parts {
            let isCall = name == "claim" || name == "complete"
            tracer.startSpan(
                name, context: span.context, ofKind: isCall ? .client : .internal,
                at: clock.timestamp(time.lowerBound)
            ).end(at: clock.timestamp(time.upperBound))
        }
        span.end(at: clock.timestamp(completion.upperBound))
    }

    /// The context of the enqueuer, as far as the instruments understand it.
    private static func context(_ document: DocumentRecord) -> ServiceContext {
        var context = ServiceContext.topLevel
        if let parent = document.claimed.traceparent.flatMap(TraceParent.init) {
            InstrumentationSystem.instrument.extract(
                ["traceparent": parent.text], into: &context, using: DictionaryExtractor())
        }
        return context
    }
}

extension DocumentRecord {
    /// The stages with start and end. Only their lengths are known, so they are placed backwards from
    /// when the engine was done; the whole batch wait lies between tokenizing and encoding.
    fileprivate var placedStages: [(String, Range<ContinuousClock.Instant>)] {
        var end = delivered
        return stages.reversed().map { name, duration in
            defer { end -= duration }
            return (name, end - duration..<end)
        }.reversed()
    }
}

private struct DictionaryExtractor: Extractor {
    func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
}

/// Turns instants of the continuous clock into calendar times.
private struct WallClock {
    private let measured = ContinuousClock.now
    private let calendar = Duration.nanoseconds(
        Int64(clamping: DefaultTracerClock.now.nanosecondsSinceEpoch))

    func timestamp(_ instant: ContinuousClock.Instant) -> DefaultTracerClock.Timestamp {
        let (seconds, attoseconds) = (calendar + measured.duration(to: instant)).components
        let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        return DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: UInt64(clamping: nanoseconds))
    }
}
