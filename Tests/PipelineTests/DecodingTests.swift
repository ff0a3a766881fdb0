import Inference
import Jobs
import TestSupport
import Testing

@testable import Pipeline

/// A job type's settings of decoding, through the whole pipeline.
@Suite struct DecodingTests {
    @Test(arguments: PipelineTests.settings, ["t5-v1.0"] + Fixtures.classic)
    func beamsAreThoseOfTheGoldens(settings: PipelineSettings, name: String) async throws {
        var type = try goldenType(name)
        type.decoding.beams = 4
        // Text that spells a special token is plain text here, but was that token for transformers.
        let golden = try Golden.load(name).cases.filter {
            !$0.document.allSatisfy(\.isWhitespace) && !$0.document.contains("<")
        }
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
        type.decoderPrompt = PromptTemplate(decoder: "one two")
        let route = try route(type)
        let opening = route.generator.decoderPrompt
        // The end token of a text is not among them, because it would end the output.
        #expect(!opening.isEmpty && !opening.contains { route.generator.head.endIDs.contains($0) })
        #expect(
            route.options(for: [1], part: 0, by: route.generator, isFirstChoice: true)
                == DecodingOptions(
                    maximumNewTokens: 24, minimumNewTokens: 3, beams: 4, lengthPenalty: 0.5,
                    noRepeatNgram: 2, decoderPrompt: opening))
        #expect(route.rows == 4)
    }

    // MARK: Support

    private func route(_ type: JobType) throws -> Route {
        let library = try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        return try #require(library.routes[type.name])
    }
}
