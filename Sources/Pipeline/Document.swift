internal import Inference
internal import Jobs
internal import Scoring
internal import Tokenizers

/// A document on its way through the pipeline.
///
/// `@unchecked Sendable`: only the lane that prepares it changes it at first, and later only a lane
/// that holds the engine's lock.
final class Document: SubmittedWork, @unchecked Sendable {
    let source: SourceDocument
    let route: Route
    let deliver: @Sendable (FinishedDocument) -> Void
    let deadline: ContinuousClock.Instant
    private let submitted: ContinuousClock.Instant
    /// The text to read: first the document, then the outputs of its parts if they are reduced.
    private var text: String
    /// How many times the outputs of the parts became the text to read.
    private var rounds = 0
    private var goesOn = false
    /// From submission until a lane begins to tokenize it.
    private var inboxWait = Duration.zero
    var measurements = Measurements()
    /// Nil until a lane has tokenized it.
    private var preparation: Preparation?
    /// Whether the large model writes it, too, for comparison.
    let isShadowed: Bool
    /// The response to each part; nil until it is written.
    private var responses: [(generator: Generator, response: Response)?] = []
    /// What the large model wrote of each part for comparison; nil until it is written.
    private var shadows: [Response?] = []
    private var confidence: Confidence?
    /// Indices, in the library, of the projectors whose states the document needs.
    var projectors: [Int] { route.projectors(isShadowed: isShadowed) }
    /// Whether its outcome is decided. Its parts that are still on their way are dropped.
    var isOver = false

    init(
        _ source: SourceDocument, route: Route, submitted: ContinuousClock.Instant,
        deliver: @escaping @Sendable (FinishedDocument) -> Void
    ) {
        self.source = source
        text = source.text
        self.route = route
        self.submitted = submitted
        self.deliver = deliver
        deadline = submitted + route.jobType.timeout
        isShadowed = route.isShadowed(source.id)
        measurements.mode = route.jobType.mode.rawValue
        measurements.model = route.jobType.decoder
    }

    /// Tokenizes it into parts.
    ///
    /// - Parameter other: a document that was prepared before. Its prompts are used again if those
    ///   of this document would be the same.
    func prepare(
        like other: Document?, clock: ContinuousClock
    ) throws(RejectedDocument) -> [Part] {
        let start = clock.now
        if rounds == 0 {
            inboxWait = submitted.duration(to: start)
            try route.check(source.fields)
        }
        let preparation: Preparation
        if let other, let made = other.preparation, rounds == 0, other.rounds == 0,
            other.text == text,
            route.prepares(like: other.route, fields: source.fields, other.source.fields)
        {
            preparation = made
        } else {
            preparation = try route.prepare(text, fields: source.fields)
        }
        if rounds > 0, preparation.prompts.count >= responses.count {
            throw RejectedDocument(
                "expected the outputs of the parts to be shorter together than the document "
                    + "(limits.overflow: reduce), but \(responses.count) parts became "
                    + "\(preparation.prompts.count); lower limits.new_tokens or raise "
                    + "limits.source_tokens of the job type")
        }
        self.preparation = preparation
        let now = clock.now
        measurements.stages.tokenize += start.duration(to: now)
        measurements.truncated = preparation.truncated
        measurements.parts = preparation.prompts.count + (rounds > 0 ? measurements.parts : 0)
        measurements.tokensIn += preparation.prompts.reduce(0) { $0 + $1.tokens.count }
        if let unknown = route.promptTokenizer.unknownID {
            measurements.unknownTokens += preparation.prompts.reduce(0) {
                $0 + $1.tokens.count { $0 == unknown }
            }
        }
        responses = preparation.prompts.map { _ in nil }
        shadows = isShadowed ? preparation.prompts.map { _ in nil } : []
        return preparation.prompts.enumerated().map { index, prompt in
            Part(document: self, index: index, prompt: prompt, prepared: now)
        }
    }

    /// Notes a part's response. Returns the finished document once its last part is written.
    ///
    /// The document's stage times are those of its last part, because it waited for that one.
    func complete(
        _ encoded: EncodedPart, response: Response, at now: ContinuousClock.Instant
    ) -> FinishedDocument? {
        guard !isOver else { return nil }
        if encoded.role == .shadow {
            shadows[encoded.part.index] = response
        } else {
            responses[encoded.part.index] = (encoded.generator, response)
            measurements.tokensOut += response.tokens.count
            if encoded.generator.cutsOff(response, at: route.jobType.limits.newTokens) {
                measurements.cutOffParts += 1
            }
            measurements.drafted += response.drafted
            measurements.accepted += response.accepted
            measurements.stages.batchWait = inboxWait + encoded.batchWait
            measurements.stages.encode = encoded.encode
            measurements.encodeSource = encoded.source
            measurements.stages.handoff = encoded.handoff
            measurements.stages.decode = encoded.decode + encoded.since.duration(to: now)
            note(response.confidence)
        }
        guard !shadows.contains(where: { $0 == nil }) else { return nil }
        guard isReduced, let outputs else { return output }
        text = outputs.joined(separator: "\n")
        rounds += 1
        goesOn = true
        return nil
    }

    /// Whether the outputs of the parts are to be read again as one text.
    private var isReduced: Bool {
        route.jobType.limits.overflow == .reduce && responses.count > 1
    }

    /// Whether it is to be prepared again, to read the outputs of its parts. True only once a
    /// round.
    func takesAnotherRound() -> Bool {
        defer { goesOn = false }
        return goesOn
    }

    /// Returns the part for the large model to write if the small one was unsure, and else nil.
    func fallBack(
        _ encoded: EncodedPart, response: Response, at now: ContinuousClock.Instant
    ) -> EncodedPart? {
        guard !isOver, let generator = route.largeGenerator, route.isUnsure(response) else {
            return nil
        }
        note(response.confidence)
        return encoded.again(by: generator, now: now)
    }

    private func note(_ confidence: Confidence?) {
        guard let confidence else { return }
        self.confidence = self.confidence ?? Confidence()
        self.confidence?.add(confidence)
    }

    /// Returns the output if only the comparison is late, and else a failure.
    func timeOut() -> FinishedDocument {
        if preparation != nil, !isReduced, let output { return output }
        let limit = route.jobType.timeout
        return finish(
            .failed(
                reason: "expected the output within \(limit) (timeout), but it was not ready"))
    }

    /// Joins the outputs of parts in the shape of the document.
    private func joined(_ outputs: [String]) -> String {
        preparation?.split?.joined(outputs) ?? outputs.joined(separator: " ")
    }

    /// The outputs of all parts; nil until they are written.
    private var outputs: [String]? {
        let written = responses.compactMap(\.self)
        guard written.count == responses.count else { return nil }
        return written.map { $0.generator.tokenizer.decode($0.response.tokens) }
    }

    /// Nil until all parts are written.
    private var output: FinishedDocument? {
        let written = responses.compactMap(\.self)
        guard written.count == responses.count else { return nil }
        let output = joined(written.map { $0.generator.tokenizer.decode($0.response.tokens) })
        measurements.model = written.map(\.generator.model)
            .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
            .joined(separator: " + ")
        measurements.confidence = confidence?.mean
        measurements.leastConfidence = confidence?.least
        let shadows = shadows.compactMap(\.self)
        if isShadowed, shadows.count == responses.count, let large = route.largeGenerator {
            let other = joined(shadows.map { large.tokenizer.decode($0.tokens) })
            measurements.agreement = ROUGE.agreement(output, other)
        }
        return finish(.succeeded(output: output, tokens: written.flatMap(\.response.tokens)))
    }

    func finish(_ outcome: Outcome) -> FinishedDocument {
        isOver = true
        return FinishedDocument(id: source.id, outcome: outcome, measurements: measurements)
    }
}

/// One prompt of a document.
struct Part: PreparedWork, Sendable {
    let document: Document
    let index: Int
    let prompt: Prompt
    let prepared: ContinuousClock.Instant

    var projectors: [Int] { document.projectors }
    var rows: Int { document.route.rows }
    var batch: JobType.BatchLimits { document.route.jobType.batch }
}

/// A part in the hand-off queue, then in a decoder.
struct EncodedPart: EncodedWork, Sendable {
    enum Role {
        case firstChoice
        /// The generator before this one was unsure.
        case fallback
        /// For comparison. At the document's timeout its own output is delivered without this one.
        case shadow
    }

    let part: Part
    let generator: Generator
    var role = Role.firstChoice
    /// One for each projector of the document. Parts that share a reading share them.
    let states: [PromptStates]
    let batchWait: Duration
    /// Zero if no pass of the encoder counts for this part.
    let encode: Duration
    let source: EncodeSource
    /// When it entered the hand-off queue, or the decoder that it is in.
    var since: ContinuousClock.Instant
    /// Time that it spent in the hand-off, and in decoders, before `since`.
    var handoff = Duration.zero
    var decode = Duration.zero

    var document: Document { part.document }
    var route: Route { part.document.route }
    var decoder: Int { generator.decoder }
    var rows: Int { part.rows }

    /// The request with which a decoder takes it up.
    func request(id: Int) -> DecoderReplica.Request {
        let isFirstChoice = role == .firstChoice
        let fields = part.document.source.fields
        return DecoderReplica.Request(
            id: id, states: states[isFirstChoice ? 0 : 1],
            options: route.options(
                for: part.prompt.tokens, part: part.index, by: generator,
                isFirstChoice: isFirstChoice, fields: fields),
            head: generator.head(for: fields),
            draft: route.draftModel.map {
                DraftRequest(
                    states: states[1], head: $0.head(for: fields),
                    length: route.jobType.decoding.draftTokens)
            })
    }

    /// The same part for the large model, because the small one was unsure.
    func again(by generator: Generator, now: ContinuousClock.Instant) -> EncodedPart {
        EncodedPart(
            part: part, generator: generator, role: .fallback, states: states, batchWait: batchWait,
            encode: encode, source: source, since: now, handoff: handoff,
            decode: decode + since.duration(to: now))
    }

    /// The same part in the decoder that takes it up now.
    func admitted(at now: ContinuousClock.Instant) -> EncodedPart {
        var part = self
        part.handoff += since.duration(to: now)
        part.since = now
        return part
    }

    /// The same part for the large model, whose output is compared with the first choice.
    func shadow(by generator: Generator) -> EncodedPart {
        EncodedPart(
            part: part, generator: generator, role: .shadow, states: states, batchWait: batchWait,
            encode: encode, source: source, since: since)
    }
}
