import Foundation
import Jobs
import TestSupport
import Testing

@testable import Inference
@testable import Pipeline

/// Modes in which two models work on a document.
@Suite struct TwoModelTests {
    private let name = "hybrid-t5-cross"

    private func type(_ name: String, _ mode: JobType.Mode) throws -> JobType {
        var type = try goldenType(self.name)
        type.name = name
        type.mode = mode
        if mode == .llm { type.slm = nil }
        return type
    }

    private func process(
        _ types: [JobType], _ texts: [String], settings: PipelineSettings
    ) async throws -> ([String: [FinishedDocument?]], PipelineStatistics) {
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: types, modelsFolder: "/"), settings: settings)
        defer { pipeline.stop() }
        let finished = await pipeline.process(
            types.enumerated().flatMap { index, type in
                texts.enumerated().map {
                    SourceDocument(id: Int64(1_000 * index + $0), jobType: type.name, text: $1)
                }
            })
        let outputs = types.enumerated().map { index, type in
            (type.name, texts.indices.map { finished[Int64(1_000 * index + $0)] })
        }
        return (Dictionary(uniqueKeysWithValues: outputs), pipeline.statistics)
    }

    private var texts: [String] {
        get throws {
            try Golden.load(name).cases.map(\.document).filter { !$0.allSatisfy(\.isWhitespace) }
                + (0..<20).map {
                    "Version \($0) of the package adds \($0 + 2) programs and a library."
                }
        }
    }

    /// This holds with shortlists, rules and parts, in any batch.
    @Test(arguments: PipelineTests.settings)
    func speculativeIsTheLargeModel(settings: PipelineSettings) async throws {
        var types: [JobType] = []
        for mode in [JobType.Mode.llm, .speculative] {
            types.append(try type("plain \(mode)", mode))
            var ruled = try type("ruled \(mode)", mode)
            ruled.decoding.noRepeatNgram = 2
            ruled.decoding.draftTokens = 7
            ruled.limits.minimumNewTokens = 5
            ruled.limits.sourceTokens = 16
            ruled.limits.overflow = .split
            types.append(ruled)
            var short = try type("short \(mode)", mode)
            short.shortlist = try scratch.write(
                "list-\(mode)", (3..<400).map { "\($0)\n" }.joined().utf8)
            types.append(short)
        }
        let (outputs, statistics) = try await process(types, texts, settings: settings)
        for kind in ["plain", "ruled", "short"] {
            let expected = outputs["\(kind) llm"]?.map { $0?.tokens }
            #expect(outputs["\(kind) speculative"]?.map { $0?.tokens } == expected)
            #expect(expected?.allSatisfy { $0 != nil } == true)
        }
        let measured = (outputs["plain speculative"] ?? []).compactMap { $0?.measurements }
        #expect(measured.allSatisfy { $0.mode == "speculative" && $0.model == types[0].llm })
        #expect(measured.contains { $0.drafted > 0 })
        #expect(measured.allSatisfy { $0.accepted <= $0.drafted })
        #expect(statistics.draftedTokens >= measured.reduce(0) { $0 + $1.drafted })
    }

    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    @Test(arguments: PipelineTests.settings)
    func theLargeModelWritesWhatTheSmallOneIsUnsureOf(settings: PipelineSettings) async throws {
        var types = [try type("llm", .llm), try type("hybrid", .hybrid)]
        for (name, threshold) in [("never", 0.0), ("half", 0.0), ("always", 1.0)] {
            var fallback = try type(name, .hybrid)
            fallback.fallback = threshold
            types.append(fallback)
        }
        let sure = try await process([types[2]], texts, settings: settings).0["never"] ?? []
        let confidences = sure.compactMap { $0?.measurements.confidence }.sorted()
        #expect(confidences.count == sure.count)
        types[3].fallback = confidences[confidences.count / 2]
        let (outputs, statistics) = try await process(types, texts, settings: settings)
        let (large, small) = (outputs["llm"] ?? [], outputs["hybrid"] ?? [])
        for index in large.indices {
            #expect(outputs["never"]?[index]?.tokens == small[index]?.tokens)
            #expect(outputs["always"]?[index]?.tokens == large[index]?.tokens)
            #expect(outputs["always"]?[index]?.measurements.model == types[0].llm)
            let half = try #require(outputs["half"]?[index])
            let isUnsure = try #require(half.measurements.confidence) < (types[3].fallback ?? 0)
            #expect(half.tokens == (isUnsure ? large : small)[index]?.tokens)
            #expect(half.measurements.model == (isUnsure ? types[3].llm : types[3].slm))
            #expect(half.measurements.mode == "hybrid")
            #expect(half.measurements.tokensOut == half.tokens?.count)
        }
        #expect(statistics.fallbackParts == large.count + confidences.count / 2)
    }

    @Test(arguments: PipelineTests.settings)
    func aShadowChangesNothingAndTellsTheAgreement(settings: PipelineSettings) async throws {
        var shadowed = try type("shadowed", .hybrid)
        shadowed.shadow = 1
        var rarely = try type("rarely", .hybrid)
        rarely.shadow = 0.3
        rarely.limits.sourceTokens = 16
        rarely.limits.overflow = .split
        var plain = rarely
        plain.name = "plain"
        plain.shadow = 0
        let types = [shadowed, rarely, plain, try type("llm", .llm), try type("hybrid", .hybrid)]
        let (outputs, statistics) = try await process(types, texts, settings: settings)
        for index in try texts.indices {
            let document = try #require(outputs["shadowed"]?[index])
            #expect(document.tokens == outputs["hybrid"]?[index]?.tokens)
            let agreement = try #require(document.measurements.agreement)
            #expect((0...1).contains(agreement))
            let isSame = document.text == outputs["llm"]?[index]?.text
            #expect(!isSame || agreement == 1)
            #expect(document.measurements.model == shadowed.slm)
            #expect(outputs["rarely"]?[index]?.tokens == outputs["plain"]?[index]?.tokens)
            #expect(outputs["plain"]?[index]?.measurements.agreement == nil)
        }
        let sampled = (outputs["rarely"] ?? []).map { $0?.measurements.agreement != nil }
        #expect(sampled.contains(true) && sampled.contains(false))
        #expect(statistics.shadowParts > 0)
        // Every run compares the same documents.
        let again = try await process(
            types, texts, settings: PipelineTests.settings[0]
        ).0["rarely"]
        #expect(again?.map { $0?.measurements.agreement != nil } == sampled)
    }

    /// A comparison that is late does not cost the document its output.
    @Test func atItsTimeoutADocumentComesWithoutItsShadow() throws {
        var shadowed = try type("shadowed", .hybrid)
        shadowed.shadow = 1
        let library = try ModelLibrary(jobTypes: [shadowed], modelsFolder: "/")
        let route = try #require(library.routes[shadowed.name])
        let clock = ContinuousClock()
        func document() -> Document {
            Document(
                SourceDocument(id: 1, jobType: shadowed.name, text: "some text"), route: route,
                submitted: clock.now, deliver: { _ in })
        }
        let late = document()
        let part = try #require(try late.prepare(like: nil, clock: clock).first)
        let encoded = EncodedPart(
            part: part, generator: route.generator, states: [], batchWait: .zero, encode: .zero,
            source: .cache, since: clock.now)
        let response = Response(tokens: [7, 8, 9], score: nil)
        #expect(late.complete(encoded, response: response, at: clock.now) == nil)
        let finished = late.timeOut()
        #expect(finished.tokens == [7, 8, 9])
        #expect(finished.measurements.agreement == nil)
        // Without an output of its own, it fails: before it is read, and while it is written.
        #expect(document().timeOut().reason.contains("timeout"))
        let unwritten = document()
        _ = try unwritten.prepare(like: nil, clock: clock)
        #expect(unwritten.timeOut().reason.contains("timeout"))
    }

    @Test func modelsOfOtherTokensAreRefused() throws {
        var type = try goldenType("hybrid-gpt2-add")
        type.mode = .speculative
        #expect {
            try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        } throws: {
            "\($0)".contains("job type hybrid-gpt2-add") && "\($0)".contains("found a GPT-2")
        }
        try scratch.copy(fixture: "golden/\(name)/llm")
        try scratch.copy(fixture: "golden/\(name)/slm")
        let other = Fixtures.path("tokenizers/composed/t5.json")
        try FileManager.default.removeItem(atPath: scratch.path + "/slm/spiece.model")
        _ = try scratch.write("slm/tokenizer.json", Data(contentsOf: URL(filePath: other)))
        var pair = try self.type("pair", .speculative)
        pair.llm = scratch.path + "/llm"
        pair.slm = scratch.path + "/slm"
        #expect {
            try ModelLibrary(jobTypes: [pair], modelsFolder: "/")
        } throws: {
            "\($0)".contains("to have the tokenizer of") && "\($0)".contains("slm")
        }
    }
}

extension FinishedDocument {
    fileprivate var text: String? {
        if case .succeeded(let output, _) = outcome { output } else { nil }
    }
}
