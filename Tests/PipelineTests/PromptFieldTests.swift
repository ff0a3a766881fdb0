import Jobs
import TestSupport
import Testing

@testable import Pipeline

/// Texts of the documents' metadata in prompts.
@Suite struct PromptFieldTests {
    private func type(
        _ golden: String, _ name: String, _ prompt: String, decoder: String? = nil
    ) throws -> JobType {
        var type = try goldenType(golden)
        type.name = name
        type.prompt = try #require(PromptTemplate(prompt))
        type.decoderPrompt = try decoder.map { try #require(PromptTemplate(decoder: $0)) }
        return type
    }

    private func route(_ type: JobType) throws -> Route {
        try #require(try ModelLibrary(jobTypes: [type], modelsFolder: "/").routes[type.name])
    }

    private func process(
        _ types: [JobType], _ documents: [SourceDocument], _ settings: PipelineSettings
    ) async throws -> (finished: [Int64: FinishedDocument], readings: Int) {
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: types, modelsFolder: "/"), settings: settings)
        defer { pipeline.stop() }
        let finished = await pipeline.process(documents)
        return (finished, Int(pipeline.statistics.encodedParts))
    }

    @Test(arguments: ["t5-v1.0", "llama", "marian", "hybrid-gpt2-add"], PipelineTests.settings)
    func theyAreReadAsIfTheFileSpeltThem(golden: String, settings: PipelineSettings) async throws {
        let words = ["two", "some other words", "two"]
        let named = try type(golden, "named", "one {metadata.word}: {document} ({metadata.word})")
        let spelt = try words.enumerated().map {
            try type(golden, "spelt \($0)", "one \($1): {document} (\($1))")
        }
        let documents = words.enumerated().flatMap { index, word in
            [
                SourceDocument(
                    id: Int64(2 * index), jobType: "named", text: "a text",
                    fields: ["word": word, "else": "\(index)"]),
                SourceDocument(id: Int64(2 * index + 1), jobType: "spelt \(index)", text: "a text"),
            ]
        }
        let (finished, readings) = try await process([named] + spelt, documents, settings)
        for index in words.indices {
            let tokens = finished[Int64(2 * index)]?.tokens
            #expect(tokens?.isEmpty == false)
            #expect(tokens == finished[Int64(2 * index + 1)]?.tokens)
        }
        #expect(readings == 2)
    }

    /// Whole prompts are compared, not the texts that they are made of.
    @Test func otherFieldsWithTheSamePromptShareAReading() async throws {
        let named = try type("t5-v1.0", "named", "{metadata.one} {metadata.two} {document}")
        let fields = [
            ["one": "a b", "two": "c"], ["one": "a", "two": "b c"], ["one": "a", "two": "c"],
        ]
        let documents = fields.enumerated().map {
            SourceDocument(id: Int64($0), jobType: "named", text: "text", fields: $1)
        }
        let (_, readings) = try await process([named], documents, PipelineTests.settings[0])
        #expect(readings == 2)
    }

    /// One job type for several tasks, which share the reading of a document.
    @Test(arguments: ["t5-v1.0", "llama", "hybrid-t5-cross"], PipelineTests.settings)
    func theDecodersPromptHoldsThem(golden: String, settings: PipelineSettings) async throws {
        let words = ["two three", "four"]
        let named = try type(golden, "named", "{document}", decoder: "one {metadata.word}")
        let spelt = try words.enumerated().map {
            try type(golden, "spelt \($0)", "{document}", decoder: "one \($1)")
        }
        let documents = words.enumerated().flatMap { index, word in
            [
                SourceDocument(
                    id: Int64(2 * index), jobType: "named", text: "a text", fields: ["word": word]),
                SourceDocument(id: Int64(2 * index + 1), jobType: "spelt \(index)", text: "a text"),
            ]
        }
        let (finished, readings) = try await process([named] + spelt, documents, settings)
        #expect(readings == 1)
        #expect(finished[0]?.tokens?.isEmpty == false)
        #expect(finished[0]?.tokens == finished[1]?.tokens)
        #expect(finished[2]?.tokens == finished[3]?.tokens)
        let routes = try [named, spelt[0]].map { try route($0) }
        #expect(
            routes[0].generator.opening(["word": "two three"]) == routes[1].generator.decoderPrompt)
    }

    @Test(arguments: [("llama", "<|im_start|>"), ("t5-v1.0", "</s>")])
    func aFieldIsNeverASpecialToken(golden: String, special: String) throws {
        let named = try route(
            type(golden, "named", "{metadata.word} {document}", decoder: "{metadata.word}"))
        let plain = try route(type(golden, "plain", "{document}"))
        let spelt = try route(type(golden, "spelt", "\(special) {document}", decoder: special))
        let fields = ["word": special]
        let prompt = try named.prepare("text", fields: fields).prompts[0].tokens
        #expect(try prompt == plain.prepare("\(special) text").prompts[0].tokens)
        #expect(try prompt != spelt.prepare("text").prompts[0].tokens)
        #expect(spelt.generator.decoderPrompt.count == 1)
        let opening = named.generator.opening(fields)
        #expect(opening.count > 1 && !opening.contains(spelt.generator.decoderPrompt[0]))
    }

    @Test(arguments: [
        ([:], "none"), (["other": "x"], "none"), (["word": ""], "one of 0 bytes"),
        (["word": " \t\u{200b}"], "one of 5 bytes"),
        (["word": String(repeating: "é", count: 501)], "one of 1002 bytes"),
    ])
    func aDocumentWithoutThemIsADeadLetterThatSaysSo(
        fields: [String: String], found: String
    ) async throws {
        let types = try [
            type("t5-v1.0", "named", "{metadata.word} {document}"),
            type("t5-v1.0", "cued", "{document}", decoder: "{metadata.word}"),
        ]
        let documents = types.enumerated().flatMap { index, type in
            // The one before it has the same text.
            [
                SourceDocument(
                    id: Int64(2 * index), jobType: type.name, text: "text", fields: ["word": "a"]),
                SourceDocument(
                    id: Int64(2 * index + 1), jobType: type.name, text: "text", fields: fields),
            ]
        }
        let (finished, _) = try await process(types, documents, PipelineTests.settings[0])
        for (index, type) in types.enumerated() {
            #expect(finished[Int64(2 * index)]?.tokens?.isEmpty == false)
            let document = try #require(finished[Int64(2 * index + 1)])
            #expect(document.isRejected)
            #expect(
                document.reason == "expected metadata.word to be a text of 1 to 1000 bytes, since "
                    + "prompts of \(type.name) hold it, found \(found); enqueue the document again "
                    + "with it")
        }
    }

    /// Positions are counted with the document's own field.
    @Test func anOpeningThatIsTooLongIsRefused() throws {
        var cued = try type("marian", "cued", "{document}", decoder: "{metadata.word}")
        cued.limits.newTokens = try route(cued).longestOpening - 10 + cued.limits.newTokens
        let route = try route(cued)
        #expect(route.longestOpening == 10)
        try route.check(["word": "a"])
        let rejected = #expect(throws: RejectedDocument.self) {
            try route.check(["word": String(repeating: "a b c ", count: 20)])
        }
        #expect(
            rejected?.reason.hasPrefix("expected decoder_prompt to be at most 10 tokens") == true)
    }

    @Test func whatFollowsATextThatIsCutOffIsKept() throws {
        let text = String(repeating: "word after word ", count: 200)
        for overflow in [JobType.Overflow.truncate, .split] {
            var types = try [
                type("t5-v1.0", "named", "{document} in {metadata.word}"),
                type("t5-v1.0", "spelt", "{document} in some words"),
            ]
            for index in types.indices {
                types[index].limits.sourceTokens = 40
                types[index].limits.overflow = overflow
            }
            #expect(
                try route(types[0]).prepare(text, fields: ["word": "some words"]).prompts.map(
                    \.tokens)
                    == route(types[1]).prepare(text).prompts.map(\.tokens))
        }
    }
}
