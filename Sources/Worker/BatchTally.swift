internal import Jobs
internal import Telemetry

/// Sums up a batch for the log.
struct BatchTally {
    typealias Instant = ContinuousClock.Instant

    private(set) var counts = BatchCounts()
    let claimed: Instant
    private var tokenize = Span()
    private var encode = Span()
    private var handoff = Span()
    private var decode = Span()
    private var completion = Span()

    init(claimed: Instant) {
        self.claimed = claimed
    }

    /// - Parameter delivered: when the engine was done with the document. The times of its stages
    ///   are counted back from this moment.
    mutating func add(_ document: FinishedDocument, delivered: Instant, willRetry: Bool) {
        counts.documents += 1
        switch document.outcome {
        case .succeeded: counts.succeeded += 1
        case .failed where willRetry: counts.retried += 1
        case .failed, .rejected: counts.failed += 1
        }
        let (measured, stages) = (document.measurements, document.measurements.stages)
        counts.tokensIn += measured.tokensIn
        counts.tokensOut += measured.tokensOut
        var end = delivered
        decode.widen(length: stages.decode, movingBack: &end)
        handoff.widen(length: stages.handoff, movingBack: &end)
        encode.widen(length: stages.encode, movingBack: &end)
        end -= stages.batchWait
        tokenize.widen(length: stages.tokenize, movingBack: &end)
    }

    mutating func written(from start: Instant, to end: Instant) {
        completion.widen(from: start, to: end)
    }

    func times(now: Instant) -> BatchTimes {
        var times = BatchTimes()
        times.tokenize = tokenize.length
        times.encode = encode.length
        times.handoff = handoff.length
        times.decode = decode.length
        times.completion = completion.length
        times.total = claimed.duration(to: now)
        return times
    }
}

/// The time from the first start of a stage to its last end.
private struct Span {
    private var bounds: ClosedRange<ContinuousClock.Instant>?

    var length: Duration {
        bounds.map { $0.lowerBound.duration(to: $0.upperBound) } ?? .zero
    }

    /// Adds one document's time in the stage. A stage that took no time was not entered and is
    /// ignored.
    mutating func widen(length: Duration, movingBack end: inout ContinuousClock.Instant) {
        guard length > .zero else { return }
        widen(from: end - length, to: end)
        end -= length
    }

    mutating func widen(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) {
        bounds =
            bounds.map { min($0.lowerBound, start)...max($0.upperBound, end) }
            ?? start...max(start, end)
    }
}
