import Inference
import Jobs
import TestSupport
import Testing

@testable import Pipeline

/// What a job type says of decoding, through the whole pipeline.
@Suite struct DecodingTests {
    @Test(arguments: PipelineTests.settings)
    func beamsAreThoseOfTheGoldens(settings: PipelineSettings) async throws {
        var type = try goldenType("t5-v1.0")
        type.decoding.beams = 4
        let golden = try Golden.load("t5-v1.0").cases.filter { $0.inputIds.count > 1 }
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: [type], modelsFolder: "/"), settings: settings)
        defer { pipeline.stop() }
        let finished = await pipeline.process(
            golden.enumerated().map {
                SourceDocument(id: Int64($0), jobType: type.name, text: $1.document)
            })
        for (index, golden) in golden.enumerated() {
            #expect(finished[Int64(index)]?.tokens == golden.beam4Ids)
        }
    }

    @Test func aSeedDecidesAndNothingElse() async throws {
        var type = try goldenType("t5-v1.1")
        type.decoding.sampling = JobType.Sampling(temperature: 1.5, topK: 40, topP: 0.95, seed: 1)
        var other = type
        other.name = "other seed"
        other.decoding.sampling?.seed = 2
        let texts = (0..<10).map { "document number \($0)" }
        var outputs: [[[Int32]?]] = []
        for settings in PipelineTests.settings {
            let pipeline = Pipeline(
                library: try ModelLibrary(jobTypes: [type, other], modelsFolder: "/"),
                settings: settings)
            let finished = await pipeline.process(
                [type, other].enumerated().flatMap { index, type in
                    texts.enumerated().map {
                        SourceDocument(
                            id: Int64(10 * index + $0), jobType: type.name, text: $1)
                    }
                })
            pipeline.stop()
            outputs.append((0..<20).map { finished[$0]?.tokens })
        }
        #expect(outputs.allSatisfy { $0 == outputs[0] })
        #expect(Set(outputs[0]).count == 20)
    }

    @Test func whatAJobTypeSaysReachesTheDecoder() throws {
        var type = try goldenType("t5-v1.0")
        type.limits.minimumNewTokens = 3
        type.decoding = JobType.Decoding(beams: 4, lengthPenalty: 0.5, noRepeatNgram: 2)
        type.decoderPrompt = "one two"
        let route = try route(type)
        let opening = route.generator.decoderPrompt
        // The end token of a text is not among them: the output would be over.
        #expect(!opening.isEmpty && !opening.contains { route.generator.head.endIDs.contains($0) })
        #expect(
            route.options(for: [1], part: 0, by: route.generator, isFirstChoice: true)
                == DecodingOptions(
                    maximumNewTokens: 24, minimumNewTokens: 3, beams: 4, lengthPenalty: 0.5,
                    noRepeatNgram: 2, decoderPrompt: opening))
        #expect(route.rows == 4)
    }

    @Test func aDecoderTakesNoMoreRowsThanItHas() throws {
        var type = try goldenType("t5-v1.0")
        type.decoding.beams = 4
        var schedule = try schedule(type, parts: 5)
        // 20 rows for 2 × 8.
        #expect(admitted(schedule.next(now: .now)) == 2)
        #expect(admitted(schedule.next(now: .now)) == 2)
        #expect(admitted(schedule.next(now: .now)) == nil)
        schedule.decoded(replica: 0, rows: 8)
        #expect(admitted(schedule.next(now: .now)) == 0)
        schedule.decoded(replica: 0, rows: 4)
        #expect(admitted(schedule.next(now: .now)) == 1)
    }

    @Test func aPartOfMoreRowsThanADecoderHasIsWrittenAlone() throws {
        var type = try goldenType("t5-v1.0")
        type.decoding.beams = 9
        var schedule = try schedule(type, parts: 3)
        #expect(admitted(schedule.next(now: .now)) == 1)
        #expect(admitted(schedule.next(now: .now)) == 1)
        #expect(admitted(schedule.next(now: .now)) == nil)
    }

    // MARK: Support

    private func route(_ type: JobType) throws -> Route {
        let library = try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        return try #require(library.routes[type.name])
    }

    /// Two decoders of 8 rows, and parts of one document that wait for them.
    private func schedule(_ type: JobType, parts: Int) throws -> Schedule {
        var schedule = Schedule(
            encoders: 1, decoders: 1,
            bounds: Schedule.Bounds(
                replicasPerDecoder: 2, rowsPerReplica: 8, handoffCapacity: 64))
        let now = ContinuousClock.now
        let route = try route(type)
        let document = Document(
            SourceDocument(id: 1, jobType: type.name, text: ""), route: route,
            submitted: now, deliver: { _ in })
        schedule.prepared(
            (0..<parts).map {
                Part(
                    document: document, index: $0, prompt: Prompt(encoder: 0, tokens: [1]),
                    prepared: now - .seconds(1))
            })
        guard case .encode(_, let taken) = schedule.next(now: now) else {
            Issue.record("expected a batch to encode")
            return schedule
        }
        schedule.encoded(
            taken.map {
                EncodedPart(
                    part: $0, generator: route.generator,
                    states: [PromptStates(tokens: 1, width: 1, buffer: FloatBuffer(count: 1))],
                    batchWait: .zero, encode: .zero, source: .batch(1), finished: now)
            })
        return schedule
    }

    /// Parts that a decoder takes up; nil for other work.
    private func admitted(_ work: Schedule.Work) -> Int? {
        if case .decode(_, let parts) = work { parts.count } else { nil }
    }
}
