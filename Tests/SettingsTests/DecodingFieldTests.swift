import Jobs
import Testing

@testable import Settings

@Suite struct DecodingFieldTests {
    private func parse(_ addition: String) throws(Refusals) -> JobType {
        let text = "name: x\nmode: llm\nllm: llm\nprompt: '{document}'\n\(addition)\n"
        return try JobFile(parsing: text, file: "x").jobType
    }

    private func parse(mode: String, _ addition: String) throws(Refusals) -> JobType {
        let text =
            "name: x\nmode: \(mode)\nllm: llm\nslm: slm\nprompt: '{document}'\n\(addition)\n"
        return try JobFile(parsing: text, file: "x").jobType
    }

    @Test func bothModelsTakePart() throws {
        let speculative = try parse(mode: "speculative", "decoding: {draft_tokens: 7}")
        #expect(speculative.mode == .speculative)
        #expect(speculative.decoder == "llm")
        #expect(speculative.decoding.draftTokens == 7)
        #expect(try parse(mode: "speculative", "").decoding.draftTokens == 4)
        let hybrid = try parse(mode: "hybrid", "fallback: 0.5\nshadow: 0.01")
        #expect(hybrid.fallback == 0.5)
        #expect(hybrid.shadow == 0.01)
        let plain = try parse(mode: "hybrid", "")
        #expect(plain.fallback == nil && plain.shadow == 0)
    }

    @Test(arguments: [
        ("speculative", "decoding: {beams: 4}", "beams to be 1 or left out in speculative mode"),
        (
            "speculative", "decoding: {temperature: 1}",
            "temperature to be 0 or left out in speculative mode, got \"1\""
        ),
        ("speculative", "decoding: {draft_tokens: 0}", "draft_tokens to be a whole number from 1"),
        ("hybrid", "decoding: {draft_tokens: 4}", "left out unless mode is speculative"),
        ("speculative", "fallback: 0.5", "fallback to be left out unless mode is hybrid"),
        ("speculative", "shadow: 0.5", "shadow to be left out unless mode is hybrid"),
        ("hybrid", "fallback: 2", "fallback to be a number from 0 to 1"),
        ("hybrid", "shadow: -1", "shadow to be a number from 0 to 1"),
        (
            "hybrid", "fallback: 0.5\ndecoding: {beams: 2}",
            "beams to be 1 or left out with a fallback, got \"2\""
        ),
        (
            "hybrid", "fallback: 0.5\ndecoding: {temperature: 2}",
            "temperature to be 0 or left out with a fallback"
        ),
    ])
    func whereTheLargeModelMayTakePart(mode: String, addition: String, expected: String) throws {
        let refusals = try #require(throws: Refusals.self) { try parse(mode: mode, addition) }
        #expect(refusals.all.count == 1)
        #expect(refusals.description.contains(expected), "\(refusals)")
    }

    @Test func theDefaultIsTheMostLikelyToken() throws {
        #expect(try parse("").decoding == JobType.Decoding())
        #expect(try parse("decoding:").decoding.sampling == nil)
        #expect(try parse("decoding: {temperature: 0}").decoding.sampling == nil)
        #expect(try parse("").shortlist == nil)
    }

    @Test func everyFieldIsRead() throws {
        let beams = try parse("decoding: {beams: 4, length_penalty: -0.5, no_repeat_ngram: 3}")
        #expect(
            beams.decoding == JobType.Decoding(beams: 4, lengthPenalty: -0.5, noRepeatNgram: 3))
        let drawn = try parse("decoding: {temperature: 0.7, top_k: 40, top_p: 0.9, seed: 11}")
        #expect(
            drawn.decoding.sampling
                == JobType.Sampling(temperature: 0.7, topK: 40, topP: 0.9, seed: 11))
        #expect(try parse("shortlist: llm/words.txt").shortlist == "llm/words.txt")
        let early = try parse("decoding: {beams: 2, early_stopping: never}")
        #expect(early.decoding == JobType.Decoding(beams: 2, earlyStopping: .never))
        let languages = try parse("source_language: eng_Latn\ntarget_language: it")
        #expect(languages.sourceLanguage == .named("eng_Latn"))
        #expect(languages.targetLanguage == .named("it") && languages.fields.isEmpty)
        let named = try parse(
            "source_language: '{metadata.from}'\ntarget_language: '{metadata.to}'")
        #expect(named.sourceLanguage == .field("from") && named.fields == ["from", "to"])
    }

    @Test func whatTheFileDoesNotSayIsLeftToTheModel() throws {
        #expect(try parse("").leftToModel == .all)
        #expect(try !parse("limits: {new_tokens: 128}").leftToModel.contains(.newTokens))
        let said =
            "limits: {minimum_new_tokens: 0, new_tokens: 9}\n"
            + "decoding: {beams: 2, length_penalty: 1, no_repeat_ngram: 0, early_stopping: false}"
        #expect(try parse(said).leftToModel.isEmpty)
    }

    @Test(arguments: [
        ("decoding: {beams: 0}", "decoding.beams to be a whole number from 1 to 64, got \"0\""),
        ("decoding: {beams: 2, early_stopping: maybe}", "false, true or never, got \"maybe\""),
        ("decoding: {early_stopping: true}", "left out unless decoding.beams is over 1"),
        ("target_language: a b", "target_language to be the name of a language"),
        ("target_language: '{metadata.a}{metadata.b}'", "or {metadata.NAME}"),
        ("target_language: 'x{metadata.a}'", "or {metadata.NAME}"),
        (
            "decoding: {beams: 4, temperature: 1}",
            "decoding.temperature to be 0 or left out with decoding.beams over 1, got \"1\""
        ),
        (
            "decoding: {length_penalty: 2}",
            "decoding.length_penalty to be left out unless decoding.beams is over 1, got \"2\""
        ),
        ("decoding: {beams: 2, length_penalty: nan}", "a number from -10 to 10, got \"nan\""),
        ("decoding: {top_k: 5}", "top_k to be left out unless decoding.temperature is over 0"),
        ("decoding: {top_p: 0.5}", "top_p to be left out unless decoding.temperature is over 0"),
        ("decoding: {seed: 5, temperature: 0}", "seed to be left out unless decoding.temp"),
        ("decoding: {temperature: 0.001}", "temperature to be 0, or a number from 0.01 to 10"),
        ("decoding: {temperature: -1}", "temperature to be 0, or a number from 0.01 to 10"),
        ("decoding: {temperature: 1, top_p: 0}", "top_p to be a number from 0.001 to 1"),
        ("decoding: {temperature: 1, seed: -1}", "seed to be a whole number from 0"),
        ("decoding: {no_repeat_ngram: 65}", "no_repeat_ngram to be a whole number from 0 to 64"),
        ("shortlist: ../list", "shortlist to be a file inside the models folder"),
        ("shortlist: [1, 2]", "shortlist to be a file inside the models folder"),
    ])
    func whatDoesNotFitIsRefused(addition: String, expected: String) throws {
        let refusals = try #require(throws: Refusals.self) { try parse(addition) }
        #expect(refusals.all.count == 1)
        #expect(refusals.description.contains(expected), "\(refusals)")
    }
}
