import Foundation
import Jobs
import TestSupport
import Testing

@testable import Pipeline

/// Languages by name, and the settings of a translator's makers, as in transformers.
@Suite struct TranslationTests {
    /// See families/generate_classic.py.
    private struct Expected: Decodable {
        struct Translation: Decodable {
            let source: String
            let target: String
            let document: String
            let greedyIds: [Int32]
        }

        let translations: [Translation]
    }

    private func expected() throws -> [Expected.Translation] {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let file = Fixtures.model("m2m_100") + "/expected.json"
        return try decoder.decode(
            Expected.self, from: Data(contentsOf: URL(filePath: file))
        ).translations
    }

    private func translator(_ name: String, folder: String) throws -> JobType {
        JobType(
            name: name, mode: .llm, llm: folder, slm: nil, dtype: .float32,
            prompt: try #require(PromptTemplate("{document}")),
            limits: JobType.Limits(
                documentBytes: 1_000, sourceTokens: 100, newTokens: 16, minimumNewTokens: 0,
                overflow: .fail),
            batch: JobType.BatchLimits(documents: 5, paddedTokens: 600, wait: .zero),
            retry: JobType.RetryPolicy(
                maximumAttempts: 3, backoff: .seconds(1), maximumBackoff: .seconds(9)),
            timeout: .seconds(600))
    }

    private func write(
        _ documents: [SourceDocument], _ types: [JobType],
        _ settings: PipelineSettings = PipelineTests.settings[1]
    ) async throws -> [Int64: FinishedDocument] {
        let pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: types, modelsFolder: "/"),
            settings: settings)
        defer { pipeline.stop() }
        return await pipeline.process(documents)
    }

    @Test func languagesAreThoseThatAJobTypeNames() async throws {
        let all = try expected()
        #expect(all.count == 9)
        let types = try Set(all.map { "\($0.source) \($0.target)" }).map { pair in
            let names = pair.split(separator: " ").map(String.init)
            var type = try translator(pair, folder: Fixtures.model("m2m_100") + "/llm")
            (type.sourceLanguage, type.targetLanguage) = (.named(names[0]), .named(names[1]))
            return type
        }
        let finished = try await write(
            all.enumerated().map {
                SourceDocument(
                    id: Int64($0), jobType: "\($1.source) \($1.target)", text: $1.document)
            }, types)
        for (index, one) in all.enumerated() {
            #expect(finished[Int64(index)]?.tokens == one.greedyIds)
        }
    }

    /// One job type serves documents of all languages, and refuses those that the model does not
    /// have.
    @Test(arguments: PipelineTests.settings)
    func languagesAreThoseThatDocumentsName(settings: PipelineSettings) async throws {
        let all = try expected()
        var type = try translator("any", folder: Fixtures.model("m2m_100") + "/llm")
        (type.sourceLanguage, type.targetLanguage) = (.field("from"), .field("to"))
        #expect(type.fields == ["from", "to"])
        var documents = all.enumerated().map {
            SourceDocument(
                id: Int64($0), jobType: "any", text: $1.document,
                fields: ["from": $1.source, "to": $1.target])
        }
        documents.append(
            SourceDocument(
                id: -1, jobType: "any", text: "a", fields: ["from": "en", "to": "klingon"]))
        documents.append(
            SourceDocument(id: -2, jobType: "any", text: "a", fields: ["from": "en"]))
        let finished = try await write(documents, [type], settings)
        for (index, one) in all.enumerated() {
            #expect(finished[Int64(index)]?.tokens == one.greedyIds)
        }
        for (id, words) in [(Int64(-1), "metadata.to to be a language of"), (-2, "found none")] {
            guard case .rejected(let reason)? = finished[id]?.outcome else {
                Issue.record("\(id) was not rejected")
                continue
            }
            #expect(reason.contains(words) && !reason.contains("klingon"), "\(reason)")
        }
        type.llm = Fixtures.path("golden/t5-v1.0/llm")
        #expect {
            try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        } throws: {
            "\($0)".contains("names none; leave it out")
        }
    }

    /// A decoder writes documents together that have the same head.
    @Test func documentsOfALanguageShareItsHead() throws {
        var type = try translator("any", folder: Fixtures.model("m2m_100") + "/llm")
        type.targetLanguage = .field("to")
        let library = try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        let generator = try #require(library.routes["any"]).generator
        let targets = Set(try expected().map(\.target)).sorted()
        let heads = targets.map { generator.head(for: ["to": $0]) }
        #expect(Set(heads.map { ObjectIdentifier($0) }).count == targets.count)
        #expect(zip(targets, heads).allSatisfy { generator.head(for: ["to": $0]) === $1 })
        #expect(generator.head(for: [:]) === generator.head)
    }

    @Test func languagesThatAreNoneAreRefusedWithSomeThatAre() throws {
        var type = try translator("lost", folder: Fixtures.model("m2m_100") + "/llm")
        type.targetLanguage = .named("tlh")
        #expect {
            try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        } throws: {
            "\($0)".contains("target_language to be a language of") && "\($0)".contains("af, am")
                && "\($0)".contains("got tlh")
        }
        type.llm = Fixtures.path("golden/t5-v1.0/llm")
        #expect {
            try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        } throws: {
            "\($0)".contains("names none; leave it out")
        }
    }

    /// OPUS-MT names the language of the output before the text.
    @Test func tagsStandBeforeTheText() async throws {
        let scratch = try ScratchFolder()
        try scratch.copy(fixture: "golden/marian/llm")
        let list = scratch.path + "/llm/vocab.json"
        var pieces = try JSONDecoder().decode(
            [String: Int].self, from: Data(contentsOf: URL(filePath: list)))
        // A piece that no document of the test has becomes the tag.
        let rare = try #require(pieces.first { $0.value == 900 })
        pieces[rare.key] = nil
        pieces[">>ita<<"] = 900
        try JSONEncoder().encode(pieces).write(to: URL(filePath: list))
        var named = try translator("named", folder: scratch.path + "/llm")
        named.targetLanguage = .named("ita")
        var spelled = try translator("spelled", folder: scratch.path + "/llm")
        spelled.prompt = try #require(PromptTemplate(">>ita<<{document}"))
        let plain = try translator("plain", folder: scratch.path + "/llm")
        var told = try translator("told", folder: scratch.path + "/llm")
        told.targetLanguage = .field("to")
        let types = [named, spelled, plain, told]
        let finished = try await write(
            types.enumerated().map {
                SourceDocument(
                    id: Int64($0), jobType: $1.name, text: "the cat sleeps", fields: ["to": "ita"])
            }, types)
        #expect(finished[0]?.tokens != nil && finished[0]?.tokens == finished[1]?.tokens)
        #expect(finished[3]?.tokens == finished[0]?.tokens)
        let read = (0..<3).compactMap { finished[$0]?.measurements.tokensIn }
        #expect(read.count == 3 && read[0] == read[1] && read[0] == read[2] + 1)
    }

    @Test func whatTheFileDoesNotSayIsTakenFromTheFolder() throws {
        // Its generation_config.json sets 4 beams and 142 positions, and nothing else of the
        // search.
        var asked = try translator("left", folder: Fixtures.path("golden/bart/llm"))
        asked.leftToModel = .all
        func run(_ type: JobType) throws -> JobType? {
            try ModelLibrary(jobTypes: [type], modelsFolder: "/").jobTypes.first
        }
        func decoding(_ type: JobType) throws -> JobType.Decoding? { try run(type)?.decoding }
        #expect(try decoding(asked) == JobType.Decoding(beams: 4))
        #expect(try run(asked)?.limits.newTokens == 141)
        asked.leftToModel = [.lengthPenalty]
        #expect(try decoding(asked) == JobType.Decoding())
        #expect(try run(asked)?.limits.newTokens == 16)
        asked.leftToModel = [.beams]
        asked.decoding.sampling = JobType.Sampling()
        #expect(try decoding(asked)?.beams == 1)
        var other = try translator("other", folder: Fixtures.path("golden/t5-v1.0/llm"))
        other.leftToModel = [.beams]
        #expect(try decoding(other)?.beams == 1)
    }

    /// No output is longer than the positions, and the least length is at most the greatest.
    @Test func lengthsOfTheFolderAreFittedToTheModel() throws {
        let scratch = try ScratchFolder()
        try scratch.copy(fixture: "families/m2m_100/llm")
        try scratch.copy(fixture: "tokenizers/m2m100")
        func limits(_ settings: String) throws -> (JobType.Limits?, [String]) {
            try scratch.write("llm/generation_config.json", settings.utf8)
            var type = try translator("fitted", folder: scratch.path + "/llm")
            type.leftToModel = .all
            let library = try ModelLibrary(jobTypes: [type], modelsFolder: "/")
            return (library.jobTypes.first?.limits, library.warnings)
        }
        let (long, _) = try limits(
            #"{"decoder_start_token_id": 2, "eos_token_id": 2, "max_length": 2000, "min_length": 500}"#
        )
        #expect(long?.newTokens == 120 && long?.minimumNewTokens == 120)
        let (_, warnings) = try limits(
            #"{"decoder_start_token_id": 2, "eos_token_id": 2, "repetition_penalty": 1.3}"#)
        let words = "sets repetition_penalty, which l2s does not apply"
        #expect(warnings.contains { $0.contains(words) })
    }

    /// A forced end token at the limit does not hide that the output was cut off.
    @Test func forcedEndsCountAsCutOff() async throws {
        var type = try translator("short", folder: Fixtures.path("golden/marian/llm"))
        type.limits.newTokens = 2
        let finished = try await write(
            [SourceDocument(id: 1, jobType: "short", text: "the cat sleeps on the table")], [type])
        #expect(finished[1]?.tokens?.last == 0)
        #expect(finished[1]?.measurements.cutOffParts == 1)
    }
}
