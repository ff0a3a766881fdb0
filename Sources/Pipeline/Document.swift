internal import Inference
internal import Jobs
internal import Tokenizers

/// A document on its way. It is written by the lane that prepares it, then under the pipeline's
/// lock only: hence `@unchecked Sendable`.
final class Document: @unchecked Sendable {
    let source: SourceDocument
    let route: Route
    let deliver: @Sendable (FinishedDocument) -> Void
    let deadline: ContinuousClock.Instant
    private let submitted: ContinuousClock.Instant
    /// From submitted until a lane tokenized it.
    private var inboxWait = Duration.zero
    var measurements = Measurements()
    /// Per part, once it is written.
    private var responses: [Response?] = []
    /// Delivered or withdrawn: parts still on their way are dropped.
    var isOver = false

    init(
        _ source: SourceDocument, route: Route, submitted: ContinuousClock.Instant,
        deliver: @escaping @Sendable (FinishedDocument) -> Void
    ) {
        self.source = source
        self.route = route
        self.submitted = submitted
        self.deliver = deliver
        deadline = submitted + route.jobType.timeout
        measurements.mode = route.jobType.mode.rawValue
        measurements.model = route.jobType.writer
    }

    /// Tokenizes it into parts.
    func prepare(clock: ContinuousClock) throws(RejectedDocument) -> [Part] {
        let start = clock.now
        inboxWait = submitted.duration(to: start)
        let preparation = try route.prepare(source.text)
        let now = clock.now
        measurements.tokenize = start.duration(to: now)
        measurements.truncated = preparation.truncated
        measurements.parts = preparation.prompts.count
        measurements.tokensIn = preparation.prompts.reduce(0) { $0 + $1.count }
        responses = preparation.prompts.map { _ in nil }
        return preparation.prompts.enumerated().map { index, tokens in
            Part(document: self, index: index, tokens: tokens, prepared: now)
        }
    }

    /// Notes a part's response; the whole output once the last part is there.
    ///
    /// The stage times are those of the part that came last: they are the document's own way
    /// through the pipeline.
    func complete(
        _ part: AdmittedPart, response: Response, at now: ContinuousClock.Instant
    ) -> FinishedDocument? {
        responses[part.encoded.part.index] = response
        measurements.tokensOut += response.tokens.count
        measurements.batchWait = inboxWait + part.encoded.batchWait
        measurements.encode = part.encoded.encode
        measurements.batchSize = part.encoded.batchSize
        measurements.handoff = part.encoded.finished.duration(to: part.admitted)
        measurements.decode = part.admitted.duration(to: now)
        let written = responses.compactMap(\.self)
        guard !isOver, written.count == responses.count else { return nil }
        let output = written.map { route.outputTokenizer.decode($0.tokens) }
        return finish(
            .succeeded(
                output: output.joined(separator: " "), tokens: written.flatMap(\.tokens)))
    }

    func finish(_ outcome: Outcome) -> FinishedDocument {
        isOver = true
        return FinishedDocument(id: source.id, outcome: outcome, measurements: measurements)
    }
}

/// One prompt of a document.
struct Part: Sendable {
    let document: Document
    let index: Int
    let tokens: [Int32]
    let prepared: ContinuousClock.Instant
}

/// A part in the hand-off queue.
struct EncodedPart: Sendable {
    let part: Part
    let states: PromptStates
    let batchWait: Duration
    /// Zero, and in a batch of none, where the prompt cache had the states.
    let encode: Duration
    let batchSize: Int
    let finished: ContinuousClock.Instant

    var route: Route { part.document.route }
    var options: DecodingOptions { route.options(for: part.tokens, part: part.index) }
}

/// A part in a decoder.
struct AdmittedPart: Sendable {
    let encoded: EncodedPart
    let admitted: ContinuousClock.Instant

    var document: Document { encoded.part.document }
}
