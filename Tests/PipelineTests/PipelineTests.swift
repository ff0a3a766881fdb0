import Jobs
import TestSupport
import Testing
import Tokenizers

@testable import Pipeline

/// Outputs of the whole pipeline, compared with what transformers wrote for the golden models.
@Suite struct PipelineTests {
    static let settings = [
        PipelineSettings(
            threads: 1, decoders: 1, decoderRows: 1, handoffCapacity: 1,
            promptCacheBytes: 64_000_000),
        PipelineSettings(
            threads: 1, decoders: 1, decoderRows: 3, handoffCapacity: 2,
            promptCacheBytes: 64_000_000),
        PipelineSettings(
            threads: 3, decoders: 2, decoderRows: 4, handoffCapacity: 8,
            promptCacheBytes: 64_000_000),
    ]

    /// Every golden model is a job type of one library. Each document is submitted several times,
    /// all at once, in a seeded order.
    @Test(arguments: settings)
    func agreesWithTheGoldensWhateverTheBatches(settings: PipelineSettings) async throws {
        let names = Fixtures.goldens + Fixtures.rotary + Fixtures.classic
        let library = try ModelLibrary(
            jobTypes: names.map { try goldenType($0) }, modelsFolder: "/")
        let pipeline = Pipeline(library: library, settings: settings)
        defer { pipeline.stop() }
        let seed = SeededRandom.newSeed()
        var random = SeededRandom(seed: seed)
        let cases = try names.flatMap { name in
            // Text that spells a special token is plain text here, but was that token for
            // transformers.
            try Golden.load(name).cases.filter { !$0.document.contains("<") }.map { (name, $0) }
        }
        let order = (0..<2 * cases.count).shuffled(using: &random)
        let finished = await pipeline.process(
            order.map {
                let (name, golden) = cases[$0 % cases.count]
                return SourceDocument(id: Int64($0), jobType: name, text: golden.document)
            })
        #expect(finished.count == order.count, "seed \(seed)")
        for index in order {
            let document = try #require(finished[Int64(index)])
            let golden = cases[index % cases.count].1
            if golden.document.isEmpty || golden.document.allSatisfy(\.isWhitespace) {
                #expect(document.isRejected, "seed \(seed)")
            } else {
                #expect(document.tokens == golden.greedyIds, "seed \(seed)")
                #expect(document.measurements.tokensIn == golden.inputIds.count)
                #expect(document.measurements.tokensOut == golden.greedyIds.count)
                let wasRead = (document.measurements.encodeSource?.batchSize ?? 0) >= 1
                #expect(wasRead == (document.measurements.stages.encode > .zero))
            }
        }
    }

    @Test func documentsThatCannotBeProcessedAreRejectedInWords() async throws {
        var type = try goldenType("t5-v1.0")
        type.limits.documentBytes = 200
        type.limits.sourceTokens = 20
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: [type], modelsFolder: "/"),
            settings: Self.settings[1])
        defer { pipeline.stop() }
        let secret = "confidential"
        let finished = await pipeline.process(
            [
                " \n\t\u{7}\u{200B}", String(repeating: secret, count: 30),
                String(repeating: secret + " ", count: 10), "fine",
            ].enumerated().map { SourceDocument(id: Int64($0), jobType: type.name, text: $1) })
        #expect(finished[0]?.reason.contains("found only white space") == true)
        #expect(finished[1]?.reason.contains("at most 200 bytes") == true)
        #expect(finished[2]?.reason.contains("limits.overflow") == true)
        #expect(finished[3]?.tokens != nil)
        #expect(finished.values.allSatisfy { !$0.reason.contains(secret) })
    }

    @Test func truncatesOrSplitsWhatIsTooLong() async throws {
        let sentences = (1...12).map { "Sentence number \($0) describes a package." }
        let text = sentences.joined(separator: " ")
        var truncating = try goldenType("t5-v1.0")
        truncating.name = "truncating"
        truncating.limits.sourceTokens = 40
        truncating.limits.overflow = .truncate
        var splitting = truncating
        splitting.name = "splitting"
        splitting.limits.overflow = .split
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: [truncating, splitting], modelsFolder: "/"),
            settings: Self.settings[2])
        defer { pipeline.stop() }
        let finished = await pipeline.process([
            SourceDocument(id: 1, jobType: "truncating", text: text),
            SourceDocument(id: 2, jobType: "splitting", text: text),
        ])
        let truncated = try #require(finished[1])
        #expect(truncated.measurements.truncated)
        #expect(truncated.measurements.tokensIn == 40)
        let split = try #require(finished[2])
        #expect(!split.measurements.truncated)
        #expect(split.measurements.parts > 1)
        #expect(split.measurements.tokensIn > 40)
        #expect((split.tokens?.count ?? 0) > (truncated.tokens?.count ?? .max))
    }

    /// The outputs of the parts become a document, and its output is that of the whole.
    @Test func reducesWhatIsTooLong() async throws {
        let text = (1...12).map { "Sentence number \($0) describes a package." }
            .joined(separator: " ")
        var splitting = try goldenType("t5-v1.0")
        splitting.name = "splitting"
        splitting.limits.sourceTokens = 40
        splitting.limits.newTokens = 4
        splitting.limits.overflow = .split
        var reducing = splitting
        reducing.name = "reducing"
        reducing.limits.overflow = .reduce
        var endless = reducing
        endless.name = "endless"
        endless.limits.newTokens = 60
        endless.limits.minimumNewTokens = 60
        let pipeline = Pipeline(
            library: try ModelLibrary(
                jobTypes: [splitting, reducing, endless], modelsFolder: "/"),
            settings: Self.settings[2])
        defer { pipeline.stop() }
        let finished = await pipeline.process([
            SourceDocument(id: 1, jobType: "splitting", text: text),
            SourceDocument(id: 2, jobType: "reducing", text: text),
            SourceDocument(id: 3, jobType: "endless", text: text),
        ])
        let parts = try #require(finished[1])
        let reduced = try #require(finished[2])
        #expect(parts.measurements.parts > 1)
        #expect(reduced.measurements.parts == parts.measurements.parts + 1)
        #expect(reduced.measurements.tokensIn > parts.measurements.tokensIn)
        #expect((reduced.tokens?.count ?? .max) <= 4)
        #expect(finished[3]?.reason.contains("limits.overflow: reduce") == true)
    }

    @Test func aDocumentOverItsTimeFailsAndMayBeRetried() async throws {
        var type = try goldenType("t5-v1.0")
        type.timeout = .zero
        type.limits.newTokens = 4_000
        type.limits.minimumNewTokens = 4_000
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: [type], modelsFolder: "/"),
            settings: Self.settings[0])
        defer { pipeline.stop() }
        let finished = await pipeline.process([
            SourceDocument(id: 1, jobType: type.name, text: "some text")
        ])
        guard case .failed(let reason) = finished[1]?.outcome else {
            Issue.record("expected a failure that may be retried")
            return
        }
        #expect(reason.contains("timeout"))
        // It was late when its turn came, so that nobody read it.
        #expect(finished[1]?.measurements.tokensIn == 0)
    }

    @Test func takesNoMoreThanItsBoundsAndTellsWhenThereIsRoom() async throws {
        let type = try goldenType("t5-v1.0")
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: [type], modelsFolder: "/"),
            settings: PipelineSettings(
                threads: 1, decoders: 1, decoderRows: 2, handoffCapacity: 4,
                promptCacheBytes: 64_000_000))
        defer { pipeline.stop() }
        let room = await pipeline.waitForRoom()
        #expect(room == 8)
        let finished = await pipeline.process(
            (0..<Int64(room)).map { SourceDocument(id: $0, jobType: type.name, text: "one two") })
        #expect(finished.count == room)
        #expect(await pipeline.waitForRoom() >= 2)
    }

    /// All time that a document spends in the engine is in one of its stages, waiting included.
    @Test func stagesSumToTheTimeInTheEngine() async throws {
        let type = try goldenType("t5-v1.0")
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: [type], modelsFolder: "/"),
            settings: PipelineSettings(
                threads: 1, decoders: 1, decoderRows: 2, handoffCapacity: 4,
                promptCacheBytes: 64_000_000))
        defer { pipeline.stop() }
        let clock = ContinuousClock()
        let (stream, continuation) = AsyncStream.makeStream(
            of: (document: FinishedDocument, at: ContinuousClock.Instant).self)
        let start = clock.now
        pipeline.submit(
            (0..<40).map { SourceDocument(id: $0, jobType: type.name, text: "text \($0)") }
        ) { continuation.yield(($0, clock.now)) }
        var delivered: [(document: FinishedDocument, at: ContinuousClock.Instant)] = []
        for await next in stream {
            delivered.append(next)
            if delivered.count == 40 { break }
        }
        func stages(_ document: FinishedDocument) -> Duration {
            let measured = document.measurements
            return measured.stages.total
        }
        // The last document was there from the start: most of its time is waiting.
        #expect(stages(delivered[39].document) <= start.duration(to: delivered[39].at))
        #expect(stages(delivered[39].document) >= start.duration(to: delivered[29].at))
    }

    @Test func aCancelledWaitForRoomReturns() async throws {
        let type = try goldenType("t5-v1.0")
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: [type], modelsFolder: "/"),
            settings: PipelineSettings(
                threads: 0, decoders: 1, decoderRows: 1, handoffCapacity: 1,
                promptCacheBytes: 64_000_000))
        pipeline.submit(
            (0..<9).map { SourceDocument(id: $0, jobType: type.name, text: "text") }
        ) { _ in }
        let waiter = Task { await pipeline.waitForRoom() }
        waiter.cancel()
        #expect(await waiter.value == 0)
        // No lane has taken any document, so each of them comes back.
        #expect(pipeline.withdraw([3, 5, 77]) == [3, 5])
        pipeline.stop()
    }

    @Test func modelsThatDoNotFitAreRefusedByJobType() throws {
        var type = try goldenType("hybrid-t5-cross")
        type.llm = Fixtures.path("golden/t5-v1.1/llm")
        #expect {
            try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        } throws: {
            "\($0)".contains("job type hybrid-t5-cross") && "\($0)".contains("l2s.json")
        }
        var tooLong = try goldenType("hybrid-gpt2-add")
        tooLong.limits.sourceTokens = 500
        tooLong.limits.newTokens = 13
        #expect {
            try ModelLibrary(jobTypes: [tooLong], modelsFolder: "/")
        } throws: {
            "\($0)".contains("at most 512")
        }
    }
}

/// Signs that a model has no token for.
@Suite struct UnknownSignTests {
    @Test(arguments: [JobType.Overflow.fail, .split])
    func nothingBehindThemIsLostAndTheyAreCounted(overflow: JobType.Overflow) async throws {
        var type = try goldenType("marian")
        type.limits.overflow = overflow
        if overflow == .split { type.limits.sourceTokens = 12 }
        let library = try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        let route = try #require(library.routes[type.name])
        let unknown = try #require(route.promptTokenizer.unknownID)
        let (before, after) = ("Haha, they are in my freezer.", "I guess they came by car.")
        let signs = "\u{1F606} \u{E000} \u{1FAE8}"
        func tokens(_ text: String) throws -> [Int32] {
            try route.prepare(text).prompts.flatMap { $0.tokens.dropLast() }
        }
        let read = try tokens("\(before) \(signs) \(after)")
        let mark = try tokens("\u{1F606}").filter { $0 != unknown }
        #expect(
            read.filter { $0 != unknown && !mark.contains($0) }
                == (try tokens(before) + tokens(after)).filter { !mark.contains($0) })
        #expect(read.count { $0 == unknown } == 3)

        let pipeline = Pipeline(library: library, settings: PipelineTests.settings[0])
        defer { pipeline.stop() }
        let finished = await pipeline.process(
            ["\(before) \(signs) \(after)", before, signs].enumerated().map {
                SourceDocument(id: Int64($0), jobType: type.name, text: $1)
            })
        // A document of such signs alone is text, too.
        #expect((0..<3).map { finished[$0]?.measurements.unknownTokens } == [3, 0, 3])
        #expect(finished[2]?.tokens?.isEmpty == false)
    }
}

// MARK: Support

func goldenType(_ name: String) throws -> JobType {
    let folder = Fixtures.path("golden/\(name)")
    let isHybrid = name.hasPrefix("hybrid")
    return JobType(
        name: name, mode: isHybrid ? .hybrid : .llm, llm: folder + "/llm",
        slm: isHybrid ? folder + "/slm" : nil, dtype: .float32,
        prompt: try #require(PromptTemplate("{document}")),
        limits: JobType.Limits(
            documentBytes: 1 << 20, sourceTokens: 400, newTokens: 24, minimumNewTokens: 0,
            overflow: .fail),
        batch: JobType.BatchLimits(documents: 5, paddedTokens: 600, wait: .milliseconds(1)),
        retry: JobType.RetryPolicy(
            maximumAttempts: 3, backoff: .seconds(1), maximumBackoff: .seconds(9)),
        timeout: .seconds(600))
}

extension Pipeline {
    /// Submits and waits for all.
    func process(_ documents: [SourceDocument]) async -> [Int64: FinishedDocument] {
        let (stream, continuation) = AsyncStream.makeStream(of: FinishedDocument.self)
        submit(documents) { continuation.yield($0) }
        var finished: [Int64: FinishedDocument] = [:]
        for await document in stream {
            finished[document.id] = document
            if finished.count == documents.count { break }
        }
        return finished
    }
}

extension FinishedDocument {
    var tokens: [Int32]? {
        if case .succeeded(_, let tokens) = outcome { tokens } else { nil }
    }

    var reason: String {
        switch outcome {
        case .succeeded: ""
        case .rejected(let reason), .failed(let reason): reason
        }
    }

    var isRejected: Bool { if case .rejected = outcome { true } else { false } }
}
