import Inference
import Jobs
import TestSupport
import Testing

@testable import Pipeline

/// A prompt is read once for all outputs that are written from it.
@Suite struct SharedReadingTests {
    private let name = "hybrid-t5-cross"
    private let scratch: ScratchFolder
    private let golden: [Golden.Case]

    init() throws {
        scratch = try ScratchFolder()
        golden = try Golden.load(name).cases.filter { !$0.document.allSatisfy(\.isWhitespace) }
    }

    private func type(_ name: String, _ mode: JobType.Mode, slm: String = "slm") throws -> JobType {
        var type = try goldenType(self.name)
        type.name = name
        type.mode = mode
        type.llm = scratch.path + "/llm"
        type.slm = mode == .llm ? nil : scratch.path + "/" + slm
        return type
    }

    /// A job type of the large model, two of small models with projectors of their own, one that is
    /// compared with the large model's output, and one in which the small model proposes tokens.
    private func types() throws -> [JobType] {
        try scratch.copy(fixture: "golden/\(name)/slm", as: "other")
        try scratch.copy(fixture: "golden/\(name)/llm")
        try scratch.copy(fixture: "golden/\(name)/slm")
        var shadowed = try type("shadowed", .hybrid)
        shadowed.shadow = 1
        return [
            try type("large", .llm), try type("small", .hybrid),
            try type("other", .hybrid, slm: "other"), shadowed, try type("checked", .speculative),
        ]
    }

    private func documents(_ types: [JobType]) -> [SourceDocument] {
        golden.enumerated().flatMap { index, golden in
            types.enumerated().map {
                SourceDocument(
                    id: Int64(100 * index + $0), jobType: $1.name, text: golden.document)
            }
        }
    }

    /// Checks that each document has the output that it has alone, and is counted once.
    private func check(
        _ finished: [Int64: FinishedDocument], of types: [JobType], _ statistics: PipelineStatistics
    ) {
        var sources: [String: Int] = [:]
        for (index, golden) in golden.enumerated() {
            for (number, type) in types.enumerated() {
                let document = finished[Int64(100 * index + number)]
                if type.mode == .hybrid { #expect(document?.tokens == golden.greedyIds) }
                #expect(document?.tokens?.isEmpty == false)
                let measured = document?.measurements
                let source = measured?.encodeSource
                #expect((source?.batchSize != nil) == (measured?.stages.encode != .zero))
                sources[source?.word ?? "none", default: 0] += 1
            }
        }
        #expect(sources.values.reduce(0, +) == finished.count && sources["none"] == nil)
        #expect(statistics.encodedParts == sources["batch", default: 0])
        #expect(statistics.sharedReadings == sources["shared", default: 0])
        // The cache is asked once for a prompt and a projector, for however many documents.
        #expect(sources["cache"] == nil || statistics.promptCache.hits > 0)
    }

    @Test(arguments: PipelineTests.settings, [0, 1_000_000])
    func whatIsSubmittedTogetherIsReadOnce(
        settings: PipelineSettings, cacheBytes: Int
    ) async throws {
        var settings = settings
        settings.promptCacheBytes = cacheBytes
        let types = try types()
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: types, modelsFolder: "/"), settings: settings)
        defer { pipeline.stop() }
        let finished = await pipeline.process(documents(types))
        let statistics = pipeline.statistics
        check(finished, of: types, statistics)
        #expect(statistics.encodedParts == golden.count)
        #expect(statistics.sharedReadings == golden.count * (types.count - 1))
    }

    /// If documents come in any order, less is shared, but nothing is mixed up.
    @Test(arguments: PipelineTests.settings)
    func whatIsNotSubmittedTogetherIsWrittenTheSame(settings: PipelineSettings) async throws {
        let types = try types()
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: types, modelsFolder: "/"), settings: settings)
        defer { pipeline.stop() }
        let seed = SeededRandom.newSeed()
        var random = SeededRandom(seed: seed)
        let order = documents(types).shuffled(using: &random)
        print("seed \(seed)")
        check(await pipeline.process(order), of: types, pipeline.statistics)
    }

    /// Tasks that differ in what the decoder is given share a reading, in every mode.
    @Test(arguments: PipelineTests.settings)
    func theDecodersPromptTellsTasksApart(settings: PipelineSettings) async throws {
        var types = try types().filter { $0.name != "shadowed" && $0.name != "other" }
        var unsure = types[1]
        unsure.name = "unsure"
        unsure.fallback = 1
        types.append(unsure)
        types += types.map { type in
            var prompted = type
            prompted.name += " prompted"
            prompted.decoderPrompt = PromptTemplate(decoder: "one two three")
            return prompted
        }
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: types, modelsFolder: "/"), settings: settings)
        defer { pipeline.stop() }
        let finished = await pipeline.process(documents(types))
        #expect(pipeline.statistics.encodedParts == golden.count)
        for index in golden.indices {
            let outputs = types.indices.map { finished[Int64(100 * index + $0)]?.tokens }
            #expect(outputs[1] == golden[index].greedyIds)
            // With a decoder prompt and without, proposals and falling back change nothing.
            for first in [0, 4] {
                #expect(outputs[first] != nil)
                #expect(outputs[first + 2] == outputs[first])
                #expect(outputs[first + 3] == outputs[first])
            }
            #expect(outputs[4] != outputs[0])
        }
    }

    @Test func aSiblingThatFailsTakesNoOtherWithIt() async throws {
        var types = try types()
        types[0].timeout = .zero
        types[1].limits.documentBytes = 0
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: types, modelsFolder: "/"),
            settings: PipelineTests.settings[2])
        defer { pipeline.stop() }
        let finished = await pipeline.process(documents(types))
        for (index, golden) in golden.enumerated() {
            let first = Int64(100 * index)
            #expect(finished[first + 1]?.isRejected == true)
            #expect(finished[first + 2]?.tokens == golden.greedyIds)
            #expect(finished[first + 3]?.tokens == golden.greedyIds)
        }
    }

    // MARK: What lanes do

    @Test func aPartWhosePromptIsBeingReadWaitsForThat() throws {
        let types = try types()
        let library = try ModelLibrary(jobTypes: types, modelsFolder: "/")
        var schedule = Schedule<Document, Part, EncodedPart>(
            encoders: 1, decoders: library.decoders.count,
            bounds: ScheduleBounds(replicasPerDecoder: 1, rowsPerReplica: 8, handoffCapacity: 64))
        let now = ContinuousClock.now
        func part(_ type: String, _ tokens: [Int32]) throws -> Part {
            let document = Document(
                SourceDocument(id: 1, jobType: type, text: ""),
                route: try #require(library.routes[type]), submitted: now, deliver: { _ in })
            return Part(
                document: document, index: 0, prompt: Prompt(encoder: 0, tokens: tokens),
                prepared: now - .seconds(1))
        }
        schedule.prepared([try part("small", [1, 2])])
        guard case .encode(_, let parts) = schedule.next(now: now) else {
            Issue.record("expected work for the encoder")
            return
        }
        #expect(parts.count == 1)
        // The same prompt again with the same projector and with another, and a new prompt.
        let late = [try part("small", [1, 2]), try part("other", [1, 2]), try part("small", [3])]
        schedule.prepared(late)
        guard case .encode(_, let others) = schedule.next(now: now) else {
            Issue.record("expected work for the encoder")
            return
        }
        #expect(others.map(\.prompt.tokens) == [[3]])
        guard case .rest = schedule.next(now: now) else {
            Issue.record("expected nothing to do while prompts are read")
            return
        }
        var reading = try #require(Reading.grouping(parts).first)
        let states = PromptStates(tokens: 2, width: 1, buffer: FloatBuffer(count: 2))
        reading.learn([states], of: reading.missingProjectors)
        #expect(reading.takeKnown().count == 1)
        reading.join(schedule.readingEnded(parts[0].prompt))
        #expect(reading.takeKnown().map(\.document.source.jobType) == ["small"])
        #expect(reading.missingProjectors == late[1].projectors)
        schedule.unread(reading.parts)
        guard case .encode(_, let again) = schedule.next(now: now) else {
            Issue.record("expected the part to be read whose projector had no part in the reading")
            return
        }
        #expect(again.map(\.document.source.jobType) == ["other"])
    }
}
