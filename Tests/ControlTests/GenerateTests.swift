import Foundation
import TestSupport
import Testing

@Suite struct GenerateTests {
    /// The ids that transformers writes, whatever the batches and threads.
    @Test(
        arguments: Fixtures.goldens + Fixtures.classic,
        [["--batch-size", "1"], ["--batch-size", "5", "--threads", "2"]])
    func writesTheIdsOfTheGoldens(_ golden: String, _ flags: [String]) async throws {
        // A document that spells a special token is plain text here; transformers read the token.
        let cases = try GoldenCase.load(golden).filter { !$0.document.contains("<") }
        let lines = try await Generated.run(
            ["--model", GoldenCase.model(golden), "--max-new-tokens", "24", "--beams", "1"] + flags,
            cases.map(\.document))
        #expect(lines.count == cases.count)
        for (line, expected) in zip(lines, cases) where line.error == nil {
            #expect(line.tokenIds?.droppingEnd == expected.greedyIds.droppingEnd)
        }
        // One document of the goldens is a single blank, which no job type takes.
        #expect(lines.count { $0.error != nil } == 1)
        #expect(lines.map(\.index) == Array(0..<cases.count))
    }

    /// What a folder says of its search holds unless a flag says otherwise: Marian's has six beams.
    @Test func followsAsManyBeamsAsItIsTold() async throws {
        let cases = try GoldenCase.load("marian").filter { !$0.document.contains("<") }
        func written(_ flags: [String]) async throws -> [[Int32]?] {
            try await Generated.run(
                ["--model", GoldenCase.model("marian"), "--max-new-tokens", "24"] + flags,
                cases.map(\.document)
            ).filter { $0.error == nil }.map { $0.tokenIds?.droppingEnd }
        }
        let four = try await written(["--beams", "4"])
        let expected = cases.filter { $0.document != " " }.map { $0.beam4Ids?.droppingEnd }
        #expect(four == expected)
        let six = try await written(["--beams", "6"])
        #expect(six != four)
        #expect(try await written([]) == six)
    }

    @Test func saysHowLongEachStageTook() async throws {
        let line = try #require(
            try await Generated.run(["--model", GoldenCase.model("hybrid-t5-add")], ["a b"]).first)
        let timings = try #require(line.timings)
        #expect(
            Set(timings.keys) == [
                "tokenize_ms", "batch_wait_ms", "encode_ms", "handoff_ms", "decode_ms",
            ])
        #expect(timings.values.allSatisfy { $0 >= 0 })
        #expect(try #require(timings["decode_ms"]) > 0)
    }

    /// `--job-type` takes from the job file what flags would say.
    @Test func aJobTypeWritesAsItsFileSays() async throws {
        let folder = try ScratchFolder()
        try folder.write(
            "short.yaml",
            """
            name: short
            mode: llm
            llm: llm
            prompt: "{document}"
            limits: {new_tokens: 3}
            """.utf8)
        let named = ["--job-type", "short", "--jobs", folder.path]
        let place = ["--models", Fixtures.path("golden/t5-v1.0")]
        let lines = try await Generated.run(named + place, ["a text of words"])
        let flags = try await Generated.run(
            ["--model", GoldenCase.model("t5-v1.0"), "--max-new-tokens", "3"],
            ["a text of words"])
        #expect(lines[0].tokenIds == flags[0].tokenIds)
        for (arguments, expected) in [
            (named + place + ["--beams", "2"], "expected --beams to be left out with --job-type"),
            (["--job-type", "long"] + named.suffix(2) + place, "to be one of short, got long"),
            (["--text"], "expected --job-type or --model, got neither"),
        ] {
            let ending = try await BuiltProgram("l2s").run(
                ["generate"] + arguments, input: "".utf8)
            #expect(ending.status != 0 && ending.remarks.contains(expected), "\(ending.remarks)")
        }
    }

    @Test func noDocumentIsGivenUpBecauseItWaited() async throws {
        let folder = try ScratchFolder()
        try folder.write(
            "impatient.yaml",
            "name: impatient\nmode: llm\nllm: llm\nprompt: '{document}'\ntimeout: 100ms\n".utf8)
        let lines = try await Generated.run(
            [
                "--job-type", "impatient", "--jobs", folder.path, "--models",
                Fixtures.path("golden/t5-v1.0"),
            ], (0..<400).map { "text \($0)" })
        #expect(lines.allSatisfy { $0.tokenIds != nil })
    }

    @Test func promptsHoldMetadataOfFlagsAndLines() async throws {
        let model = ["generate", "--model", GoldenCase.model("t5-v1.0"), "--max-new-tokens", "8"]
        func lines(_ flags: [String], _ input: String, status: Int32 = 0) async throws
            -> [Generated]
        {
            let ending = try await BuiltProgram("l2s").run(model + flags, input: input.utf8)
            #expect(ending.status == status, "\(ending.remarks)")
            return try Generated.lines(ending.output)
        }
        let prompt = ["--prompt", "to {metadata.language}: {document}"]
        let spelt = try await lines(
            ["--prompt", "to Italian: {document}"], "{\"document\": \"a text\"}")
        let named = try await lines(
            prompt + ["--metadata", "language=Italian"],
            """
            {"document": "a text"}
            {"document": "a text", "metadata": {"language": "French", "n": 1}}
            {"document": "a text", "metadata": {"n": 1}}
            """)
        #expect(named.map { $0.tokenIds == spelt[0].tokenIds } == [true, false, true])
        #expect(
            try await lines(prompt + ["--text", "--metadata", "language=Italian"], "a text\n")
                .map(\.tokenIds) == [spelt[0].tokenIds])
        let missing = try await lines(prompt, "{\"document\": \"a text\"}", status: 1)
        #expect(missing[0].error?.contains("expected metadata.language to be a text") == true)
        for (flags, words) in [
            (prompt + ["--text"], "expected --metadata language=…"),
            (prompt + ["--metadata", "tone=kind"], "got tone"),
            (["--metadata", "tone=kind"], "none holds {metadata.tone}"),
            (["--prompt", "{metadata.}{document}"], "fields as {metadata.NAME}"),
            (["--decoder-prompt", "{document}"], "hold no {document}"),
        ] {
            let ending = try await BuiltProgram("l2s").run(model + flags, input: "".utf8)
            #expect(ending.status == 64 && ending.remarks.contains(words), "\(ending.remarks)")
        }
    }

    @Test func aBadLineIsOneErrorAndTheOthersGoOn() async throws {
        var input = Array(
            """
            {"document": "secret one"}
            secret garbage
            {"text": "secret"}
            {"document": 7}
            [1]

            {"document": " \\u0001 \\n"}

            """.utf8)
        input += [0x7b, 0xff, 0xfe, 0x7d, 0x0a]
        input += Array("{\"document\": \"secret two\"}".utf8)
        let ending = try await BuiltProgram("l2s").run(
            ["generate", "--model", GoldenCase.model("t5-v1.0"), "--max-new-tokens", "2"],
            input: input)
        #expect(ending.status == 1)
        let lines = try Generated.lines(ending.output)
        #expect(lines.map(\.index) == Array(0..<9))
        #expect(
            lines.map { $0.error == nil } == [true] + .init(repeating: false, count: 7) + [true])
        let words = [
            "line 2: expected a JSON object", "no \"document\"", "\"document\" is a text",
            "JSON of another kind", "an empty line", "only white space", "line 8: expected UTF-8",
        ]
        for (line, words) in zip(lines.dropFirst(), words) {
            #expect(line.error?.contains(words) == true, "\(line.error ?? "none")")
            #expect(line.error?.contains("secret") == false)
        }
    }

    @Test func tooManyTokensFailOrAreCutOffOrSplit() async throws {
        let flags = [
            "--model", GoldenCase.model("hybrid-t5-cross"), "--max-new-tokens", "3",
            "--max-source-tokens", "20",
        ]
        let long = [String](repeating: "One sentence of a long text.", count: 9)
            .joined(separator: " ")
        let failed = try await Generated.run(flags, [long, "short"])
        #expect(failed[0].error?.contains("at most 20 tokens") == true)
        #expect(failed[1].error == nil)
        let truncated = try await Generated.run(
            flags + ["--overflow", "truncate"], [long, "short"])
        #expect(truncated.map(\.truncated) == [true, nil])
        let split = try await Generated.run(flags + ["--overflow", "split"], [long, "short"])
        #expect(try #require(split[0].parts) > 1)
        #expect(split[1].parts == nil)
    }

    @Test func plainLinesAreDocumentsWithText() async throws {
        let model = ["--model", GoldenCase.model("t5-v1.1"), "--max-new-tokens", "6"]
        let text = try await BuiltProgram("l2s").run(
            ["generate", "--text"] + model, input: "one line\r\nanother".utf8)
        let json = try await Generated.run(model, ["one line", "another"])
        #expect(text.status == 0)
        #expect(try Generated.lines(text.output).map(\.tokenIds) == json.map(\.tokenIds))
    }

    @Test func thePromptSurroundsTheDocument() async throws {
        let model = ["--model", GoldenCase.model("t5-v1.1"), "--max-new-tokens", "6"]
        let given = try await Generated.run(model, ["summarize: a tool"])
        let made = try await Generated.run(
            model + ["--prompt", "summarize: {document}"], ["a tool"])
        #expect(given.map(\.tokenIds) == made.map(\.tokenIds))
    }

    /// The three rows of every comparison, from one SLM folder.
    @Test func theModeSaysWhoReadsAndWhoWrites() async throws {
        let slm = GoldenCase.model("hybrid-t5-add")
        let llm = Fixtures.path("golden/hybrid-t5-add/llm")
        func ids(_ model: String, _ mode: String?) async throws -> [Int32]? {
            try await Generated.run(
                ["--model", model, "--max-new-tokens", "8"] + (mode.map { ["--mode", $0] } ?? []),
                ["the same text"]
            ).first?.tokenIds
        }
        let hybrid = try await ids(slm, nil)
        #expect(try await ids(slm, "hybrid") == hybrid)
        #expect(try await ids(slm, "llm") == ids(llm, nil))
        let alone = try await ids(slm, "slm")
        #expect(try await ids(llm, "slm") == ids(llm, "llm"))
        #expect(Set([hybrid, alone, try await ids(llm, nil)]).count == 3)
    }

    /// More than the window between reading and printing holds.
    @Test func manyDocumentsKeepTheirOrder() async throws {
        let documents = (0..<5000).map { "\($0 % 7)" }
        let lines = try await Generated.run(
            ["--model", GoldenCase.model("hybrid-gpt2-add"), "--max-new-tokens", "1"], documents)
        #expect(lines.map(\.index).elementsEqual(0..<5000))
        #expect(lines.allSatisfy { $0.tokenIds == lines[$0.index % 7].tokenIds })
        #expect(lines.allSatisfy { $0.tokenIds?.count == 1 })
    }

    @Test(arguments: [
        ["--max-new-tokens", "0"], ["--max-new-tokens", "5", "--min-new-tokens", "6"],
        ["--batch-size", "0"], ["--threads", "x"], ["--mode", "fast"], ["--prompt", "no place"],
    ])
    func aWrongFlagIsAUsageError(_ flags: [String]) async throws {
        let ending = try await BuiltProgram("l2s").run(
            ["generate", "--model", GoldenCase.model("t5-v1.0")] + flags)
        #expect(ending.status == 64)
        #expect(ending.output.isEmpty)
    }

    @Test func aModelThatCannotBeOpenedIsNamed() async throws {
        let folder = try ScratchFolder()
        try folder.copy(fixture: "golden/hybrid-t5-add/slm")
        let ending = try await BuiltProgram("l2s").run(
            ["generate", "--model", folder.path + "/slm"])
        #expect(ending.status == 2)
        #expect(ending.remarks.contains("/llm"))
        #expect(ending.remarks.contains("no such folder"))
    }
}
