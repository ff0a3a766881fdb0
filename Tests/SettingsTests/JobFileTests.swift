import Jobs
import Testing

@testable import Settings

/// What `JobFile` says of `text`, a line per refusal; nothing when it is accepted.
private func refusals(of text: String) -> [String] {
    do throws(Refusals) {
        _ = try JobFile(parsing: text, file: "jobs/x.yaml")
        return []
    } catch {
        return error.all.map(\.description)
    }
}

private let minimal = """
    name: shorten
    mode: hybrid
    llm: llm
    slm: slm
    prompt: "shorten: {document}"

    """

@Suite struct JobFileTests {
    @Test func theRequiredFieldsAreEnough() throws {
        var jobType = try JobFile(parsing: minimal, file: "x").jobType
        #expect(jobType.leftToModel == .all)
        jobType.leftToModel = []
        #expect(
            jobType
                == JobType(
                    name: "shorten", mode: .hybrid, llm: "llm", slm: "slm",
                    prompt: try #require(PromptTemplate("shorten: {document}")),
                    limits: .init(
                        documentBytes: 1_000_000, sourceTokens: 512, newTokens: 128,
                        minimumNewTokens: 0, overflow: .fail),
                    batch: .init(
                        documents: 32, paddedTokens: 8192, wait: .milliseconds(20)),
                    retry: .init(
                        maximumAttempts: 5, backoff: .seconds(1), maximumBackoff: .seconds(300)),
                    timeout: .seconds(300)))
    }

    @Test func everyFieldIsRead() throws {
        let text = """
            name: a.b-c_1
            mode: slm
            slm: deep/folder
            prompt: "{document} in short"
            decoder_prompt: "<|im_start|>Short\\n"
            timeout: 2h
            limits: {document_bytes: 2MiB, source_tokens: 9, new_tokens: 8, minimum_new_tokens: 7,
                     overflow: split}
            batch: {documents: 6, padded_tokens: 54, wait: 0s}
            retry: {maximum_attempts: 1, backoff: 500ms, maximum_backoff: 3m}
            """
        let jobType = try JobFile(parsing: text, file: "x").jobType
        #expect(jobType.name == "a.b-c_1")
        #expect(jobType.mode == .slm)
        #expect(jobType.llm == nil)
        #expect(jobType.slm == "deep/folder")
        #expect(jobType.prompt == PromptTemplate("{document} in short"))
        #expect(jobType.decoderPrompt == PromptTemplate(decoder: "<|im_start|>Short\n"))
        #expect(jobType.timeout == .seconds(7200))
        #expect(
            jobType.limits
                == .init(
                    documentBytes: 2_097_152, sourceTokens: 9, newTokens: 8, minimumNewTokens: 7,
                    overflow: .split))
        #expect(jobType.batch == .init(documents: 6, paddedTokens: 54, wait: .zero))
        #expect(
            jobType.retry
                == .init(
                    maximumAttempts: 1, backoff: .milliseconds(500), maximumBackoff: .seconds(180)))
    }

    @Test func promptsHoldFieldsOfTheMetadata() throws {
        let text = """
            name: translate
            mode: llm
            llm: llm
            prompt: "{metadata.from} to {metadata.to-2}: {document} ({metadata.from}) {tone}"
            decoder_prompt: "{metadata.tone}: {metadata.to-2}"
            """
        let jobType = try JobFile(parsing: text, file: "x").jobType
        #expect(jobType.fields == ["from", "to-2", "tone"])
        let fields = ["from": "{document}", "to-2": "Italian", "other": "x"]
        let prompt = jobType.prompt.stretches(for: "text {metadata.from}", fields: fields)
        #expect(
            prompt.map(\.text).joined()
                == "{document} to Italian: text {metadata.from} ({document}) {tone}")
        #expect(
            prompt.filter(\.isTemplate).map(\.text) == [" to ", ": ", " (", ") {tone}"])
        #expect(
            jobType.prompt.stretchesAfterDocument(fields: fields).map(\.text)
                == [" (", "{document}", ") {tone}"])
        #expect(
            jobType.decoderPrompt?.stretches(fields: fields).map(\.text) == ["", ": ", "Italian"])
    }

    @Test(arguments: [
        "{metadata.}: {document}", "{metadata.a b}: {document}", "{metadata.1}: {document}",
        "{metadata.a: {document}", "{metadata: {document}", "{metadata}: {document}",
        "{metadata.language}", "{metadata.é}{document}", "{document}{metadata.a\n}",
    ])
    func whatIsMeantForAFieldAndIsNoneIsRefused(prompt: String) {
        #expect(PromptTemplate(prompt) == nil)
        #expect(PromptTemplate(decoder: prompt + "{document}") == nil)
        let text = minimal.replacing(
            #"prompt: "shorten: {document}""#,
            with: "prompt: \"\(prompt.replacing("\n", with: "\\n"))\"")
        let told = refusals(of: text)
        #expect(told.count == 1 && told[0].contains("{metadata.NAME}"), "\(told)")
    }

    @Test func anAdapterMakesAnotherModelOfTheLarge() throws {
        let plain = try JobFile(parsing: minimal, file: "x").jobType
        let adapted = try JobFile(parsing: minimal + "adapter: mine\n", file: "x").jobType
        #expect(adapted.adapter == "mine")
        #expect(adapted.encoder != plain.encoder && adapted.encoderFolder == plain.encoderFolder)
        #expect(
            refusals(of: "name: a\nmode: slm\nslm: s\nprompt: '{document}'\nadapter: b\n").count
                == 1)
        #expect(refusals(of: minimal + "adapter: ../elsewhere\n").count == 1)
    }

    @Test func everyErrorOfAFileIsNamedWithItsPlace() {
        let text = """
            name: Shorten This
            mode: hybird
            prompt: shorten
            limits:
              new_tokens: many
              overflow: cut
              document_bytes: 1GB
            batch:
              wait: 10
            """
        #expect(
            refusals(of: text) == [
                "jobs/x.yaml:1: expected name to be 1 to 63 of a-z, 0-9, '-', '_' and '.', "
                    + "a letter or digit first, got \"Shorten This\"",
                "jobs/x.yaml:2: expected mode to be llm, hybrid, slm or speculative, got \"hybird\"",
                "jobs/x.yaml:3: expected prompt to be a text that holds {document} once; "
                    + "{metadata.NAME} is text of the document's metadata, got \"shorten\"",
                "jobs/x.yaml:7: expected limits.document_bytes to be a size from 1B to 64MB, "
                    + "such as 64KB or 1MB, got \"1GB\"",
                "jobs/x.yaml:5: expected limits.new_tokens to be a whole number from 1 to 4096, "
                    + "got \"many\"",
                "jobs/x.yaml:6: expected limits.overflow to be fail, truncate, split or reduce, "
                    + "got \"cut\"",
                "jobs/x.yaml:9: expected batch.wait to be a time from 0s to 1m, "
                    + "such as 500ms, 30s or 5m, got \"10\"",
            ])
    }

    @Test func unknownFieldsAreRefusedWithTheNearestName() {
        #expect(
            refusals(of: minimal + "timeuot: 5s\nlimits:\n  new_token: 5\n  colour: red\n") == [
                "jobs/x.yaml:6: expected the file to be made of name, mode, llm, adapter, slm, dtype, "
                    + "prompt, decoder_prompt, source_language, target_language, shortlist, timeout, "
                    + "fallback, shadow, limits, decoding, batch, retry, got \"timeuot\"; did you mean timeout?",
                "jobs/x.yaml:8: expected limits to be made of document_bytes, source_tokens, "
                    + "new_tokens, minimum_new_tokens, overflow, concurrent_documents, got \"new_token\"; "
                    + "did you mean new_tokens?",
                "jobs/x.yaml:9: expected limits to be made of document_bytes, source_tokens, "
                    + "new_tokens, minimum_new_tokens, overflow, concurrent_documents, got \"colour\"",
            ])
    }

    @Test(arguments: [
        ("llm", "llm: a", [] as [String]),
        ("llm", "slm: b", ["llm to be a folder", "slm to be left out in llm mode"]),
        ("hybrid", "llm: a", ["slm to be a folder"]),
        ("hybrid", "slm: b", ["llm to be a folder"]),
        ("hybrid", "llm: a\nslm: b", []),
        ("speculative", "llm: a", ["slm to be a folder"]),
        ("speculative", "llm: a\nslm: b", []),
        ("slm", "slm: b", []),
        ("slm", "llm: a\nslm: b", ["llm to be left out in slm mode"]),
        ("llm", "llm: ../secret", ["llm to be a folder"]),
        ("llm", "llm: /absolute", ["llm to be a folder"]),
    ])
    func theModeDecidesWhichModelsAreNamed(mode: String, models: String, expected: [String]) {
        let found = refusals(of: "name: x\nmode: \(mode)\nprompt: '{document}'\n\(models)\n")
        #expect(found.count == expected.count)
        for (found, expected) in zip(found, expected) { #expect(found.contains(expected)) }
    }

    @Test(arguments: [
        (
            "limits: {new_tokens: 5, minimum_new_tokens: 6}",
            "at most limits.new_tokens (5), got \"6\""
        ),
        (
            "batch: {padded_tokens: 511}",
            "batch.padded_tokens to be at least limits.source_tokens (512), got \"511\""
        ),
        (
            "retry: {backoff: 2m, maximum_backoff: 90s}",
            "retry.maximum_backoff to be at least retry.backoff (2m), got \"90s\""
        ),
        ("limits: 5", "limits to be fields such as `document_bytes: …`, got \"5\""),
        ("timeout: [1s]", "timeout to be a time from 100ms to 24h"),
        ("timeout:", "such as 500ms, 30s or 5m, got nothing"),
        ("timeout: 99999999999999999999h", "timeout to be a time"),
        ("timeout: 9223372036854775807h", "timeout to be a time"),
        ("name: again", "YAML with each field once, got \"name\" more than once"),
        ("timeout: *nowhere", "the file to be YAML"),
        ("batch: {wait: 1s", "jobs/x.yaml:7: expected the file to be YAML"),
    ])
    func whatDoesNotFitIsRefused(addition: String, expected: String) {
        let found = refusals(of: minimal + addition + "\n")
        #expect(found.count == 1)
        #expect(found.first?.contains(expected) == true, "\(found)")
    }

    @Test func aDefaultGivesWayToAGreaterNeighbour() throws {
        let text = minimal + "limits: {source_tokens: 9000}\nretry: {backoff: 10m}\nbatch:\n"
        let jobType = try JobFile(parsing: text, file: "x").jobType
        #expect(jobType.batch.paddedTokens == 9000)
        #expect(jobType.retry.maximumBackoff == .seconds(600))
    }

    /// The texts are not arguments of the test, because their names would fill the terminal.
    @Test func noTextTraps() {
        let texts = [
            "", "# only a comment", "just words", "- a\n- list", "a: &a [*a, *a]", "? [1]\n: 2",
            "a: 1\n---\nb: 2", "\u{0}", "name: \"\\u0000\"", "<<: {name: x}", "name: {a: b}",
            "\t- x", String(repeating: "[", count: 60_000),
            String(repeating: "a: {", count: 15_000),
        ]
        for text in texts { #expect(!refusals(of: text).isEmpty, "\(text.prefix(20))") }
    }
}
