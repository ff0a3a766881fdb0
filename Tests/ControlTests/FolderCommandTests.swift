import Foundation
import TestSupport
import Testing

/// The commands that look at job files and models.
@Suite struct FolderCommandTests {
    private func l2s(_ arguments: String...) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(arguments)
    }

    @Test func jobsAndModelsThatAreWellPass() async throws {
        let ending = try await l2s("check")
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(ending.output.contains("summarize-llm"))
    }

    @Test func everyFaultOfEveryFileIsReported() async throws {
        let jobs = try ScratchFolder()
        let models = try ScratchFolder()
        try models.copy(fixture: "golden/hybrid-t5-add/llm")
        try models.copy(fixture: "golden/hybrid-t5-add/slm")
        func write(_ name: String, _ rest: String) throws {
            try jobs.write("\(name).yaml", "name: \(name)\nprompt: '{document}'\n\(rest)".utf8)
        }
        try write("good", "mode: hybrid\nllm: llm\nslm: slm\n")
        try write("lost", "mode: llm\nllm: nowhere\n")
        try write("typo", "mode: llm\nllm: llm\nlimits:\n  new_tokns: 3\n")
        let ending = try await l2s("check", "--jobs", jobs.path, "--models", models.path)
        #expect(ending.status == 1)
        let rows = ending.output.split(separator: "\n")
        #expect(rows.contains { $0.hasPrefix("good ") && $0.hasSuffix(" ok") })
        #expect(rows.contains { $0.hasPrefix("lost ") && $0.hasSuffix(" FAILED") })
        #expect(ending.remarks.contains("typo.yaml:6: "))
        #expect(ending.remarks.contains("did you mean new_tokens?"))
        #expect(ending.remarks.contains("job type lost: "))
        #expect(ending.remarks.contains("2 problems found"))
    }

    @Test func theFieldsOfAJobFileAreExplained() async throws {
        let ending = try await l2s("check", "--fields")
        #expect(ending.status == 0)
        #expect(ending.output.contains("limits.new_tokens"))
    }

    @Test func inspectSaysWhatAFolderHolds() async throws {
        let t5 = try await l2s("inspect", Fixtures.path("golden/t5-v1.1/llm"))
        #expect(t5.status == 0)
        for words in ["T5", "gated gelu", "own", "SentencePiece, 1,500 ids", "encoder", "F32"] {
            #expect(t5.output.contains(words), "\(words)")
        }
        let slm = try await l2s("inspect", Fixtures.path("golden/hybrid-gpt2-add/slm"))
        for words in ["GPT-2", "../llm", "add", "projector", "hybrid, slm"] {
            #expect(slm.output.contains(words), "\(words)")
        }
    }

    @Test func inspectShowsHowTheMakersSearch() async throws {
        let marian = try await l2s("inspect", Fixtures.path("golden/marian/llm"))
        #expect(marian.output.contains("last token 0, never 977, normalized anew"))
        #expect(
            marian.output.contains(
                "decoding: {beams: 6} limits: {new_tokens: 511}; a job file may say otherwise"))
        let scratch = try ScratchFolder()
        try scratch.copy(fixture: "golden/t5-v1.0/llm")
        try scratch.write(
            "llm/generation_config.json",
            #"{"num_beams": 4, "forced_eos_token_id": 1, "repetition_penalty": 1.5}"#.utf8)
        let file = scratch.path + "/llm/config.json"
        var text = try String(contentsOfFile: file, encoding: .utf8)
        let task =
            #"{"prefix": "summarize: ", "num_beams": 4, "length_penalty": 2.0, "early_stopping": true}"#
        text.replace(
            "{", with: #"{"task_specific_params": {"summarization": "# + task + "},",
            maxReplacements: 1)
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let t5 = try await l2s("inspect", scratch.path + "/llm")
        for words in [
            "only where a job file says so: decoding: {beams: 4}",
            "repetition_penalty, last token 1",
            "prompt: \"summarize: {document}\" decoding: {beams: 4, length_penalty: 2.0, "
                + "early_stopping: true}",
        ] {
            #expect(t5.output.contains(words), "\(words) in \(t5.output)")
        }
    }

    /// Layers of a large model, stored as an adapter to its file.
    @Test func inspectSaysWhatACutIsMadeOf() async throws {
        let cut = try CutFolder(.gguf)
        let ending = try await l2s("inspect", cut.slm)
        #expect(ending.status == 0, "\(ending.remarks)")
        for words in [
            "fusion            layers", "down_proj", "by rank 2", "byte-level BPE, 1,100 ids",
            "modes",
            "hybrid\n",
        ] {
            #expect(ending.output.contains(words), "\(words): \(ending.output)")
        }
        let converted = try await l2s(
            "convert", cut.slm, "--dtype", "int8", "--output", cut.scratch.path + "/packed")
        #expect(converted.status == 0, "\(converted.remarks)")
    }

    /// Parameters are counted once, from the file itself.
    @Test func inspectCountsParameters() async throws {
        let folder = Fixtures.path("golden/hybrid-t5-cross/llm")
        let file = try Data(contentsOf: URL(fileURLWithPath: folder + "/model.safetensors"))
        let header = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let ending = try await l2s("inspect", folder)
        let total = try #require(ending.output.split(separator: "\n").last)
        let count = total.filter { $0.isNumber || $0 == " " }.split(separator: " ").first
        #expect(count.flatMap { Int($0) } == (file.count - 8 - header) / 4)
    }

    @Test func whatAScriptReadsIsJSON() async throws {
        let folder = Fixtures.path("golden/t5-v1.1/llm")
        func object(_ arguments: [String], status: Int32 = 0) async throws -> Any {
            let ending = try await BuiltProgram("l2s").run(arguments + ["--json"])
            #expect(ending.status == status, "\(arguments): \(ending.remarks)")
            return try JSONSerialization.jsonObject(with: Data(ending.output.utf8))
        }
        let inspected = try await object(["inspect", folder]) as? [String: Any]
        let parts = inspected?["parts"] as? [[String: Any]]
        #expect(parts?.compactMap { $0["part"] as? String }.contains("encoder") == true)
        #expect((inspected?["facts"] as? [String: String])?["modes"] == "llm, slm")

        let output = try ScratchFolder()
        let converted =
            try await object(
                ["convert", folder, "--dtype", "int8", "--output", output.path + "/new"])
            as? [String: Any]
        let size =
            try FileManager.default.attributesOfItem(
                atPath: output.path + "/new/packed.safetensors")[.size] as? Int
        let bytes = try #require(converted?["bytes"] as? Int)
        // The file has a header, too.
        #expect(bytes > 0 && bytes < size ?? 0)

        let jobs = try ScratchFolder()
        try jobs.write("mine.yaml", "name: mine\nmode: fast\n".utf8)
        let checked =
            try await object(["check", "--jobs", jobs.path], status: 1) as? [String: Any]
        #expect((checked?["problems"] as? [String])?.first?.contains("mine.yaml:2") == true)
        let doctor =
            try await object(["doctor", "--jobs", jobs.path], status: 1) as? [[String: String]]
        #expect(doctor?.contains { $0["verdict"] == "failed" } == true)
    }

    @Test func inspectFindsAModelByName() async throws {
        let models = try ScratchFolder()
        try models.copy(fixture: "golden/t5-v1.0/llm")
        let found = try await l2s("inspect", "llm", "--models", models.path, "--jobs", models.path)
        #expect(found.status == 0, "\(found.remarks)")
        let missing = try await l2s(
            "inspect", "other", "--models", models.path, "--jobs", models.path)
        #expect(missing.status == 2)
        #expect(missing.remarks.contains("no such folder"))
    }

    @Test func helpAndVersionAreForEveryCommand() async throws {
        for command in [
            "demo", "migrate", "enqueue", "status", "check", "generate", "inspect", "convert",
            "doctor",
        ] {
            let ending = try await l2s(command, "--help")
            #expect(ending.status == 0)
            #expect(ending.output.contains("USAGE: l2s \(command)"))
        }
        let top = try await l2s("--help")
        #expect(top.output.contains("EXIT CODES"))
        #expect(try await l2s("--version").output.contains("schema version"))
        #expect(try await l2s("nonsense").status == 64)
    }
}
