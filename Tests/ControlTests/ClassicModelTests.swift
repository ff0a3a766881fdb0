import Foundation
import TestSupport
import Testing

/// Classic translators and summarizers do everything that a T5 does.
@Suite struct ClassicModelTests {
    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func l2s(
        _ arguments: String..., input: String = ""
    ) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(arguments, input: input.utf8)
    }

    private func documents(_ golden: String) throws -> [GoldenCase] {
        try GoldenCase.load(golden).filter {
            !$0.document.contains("<") && !$0.document.allSatisfy(\.isWhitespace)
        }
    }

    /// A packed folder searches as the original does.
    @Test(arguments: Fixtures.classic, ["float32", "int8"])
    func packedFoldersWriteTheSame(_ golden: String, _ dtype: String) async throws {
        let original = GoldenCase.model(golden)
        let ending = try await l2s(
            "convert", original, "--dtype", dtype, "--output", scratch.path + "/packed")
        #expect(ending.status == 0, "\(ending.remarks)")
        let documents = try documents(golden).map(\.document)
        let flags = ["--max-new-tokens", "24"]
        let expected = try await Generated.run(
            ["--model", original, "--dtype", dtype] + flags, documents)
        let found = try await Generated.run(
            ["--model", scratch.path + "/packed"] + flags, documents)
        #expect(found.map(\.tokenIds) == expected.map(\.tokenIds))
        #expect(found.map(\.text) == expected.map(\.text))
        if dtype == "float32", golden == "bart" {
            #expect(try found.map(\.tokenIds) == self.documents(golden).map(\.beam4Ids))
        }
    }

    private func train(_ recipe: String, llm golden: String) async throws {
        try scratch.copy(fixture: "golden/\(golden)/llm")
        let pairs = (0..<24).map {
            #"{"source": "word \#($0) apple", "target": "answer \#($0 % 5)"}"# + "\n"
        }
        try scratch.write("pairs.jsonl", pairs.joined().utf8)
        let file = try scratch.write(
            "recipe.yaml",
            """
            llm: llm
            output: small
            prompt: "{document}"
            data: {train: \(scratch.path)/pairs.jsonl, validation: \(scratch.path)/pairs.jsonl}
            batch: {tokens: 256, accumulation: 2}
            length: {steps: 30}
            optimizer: {learning_rate: 0.01, warmup_steps: 3, schedule: inverse_sqrt}
            validation: {interval: 10}
            seed: 3
            threads: 2
            sizes: {width: 32, head_width: 8, heads: 4, feed_forward: 64}
            \(recipe)
            """.utf8)
        let ending = try await l2s("train", file, "--models", scratch.path)
        #expect(ending.status == 0, "\(ending.remarks)")
    }

    /// A small decoder learns from a translator's states and is served behind the translator, which
    /// writes what the small one is unsure of.
    @Test(arguments: Fixtures.classic)
    func theyReadForSmallModels(_ golden: String) async throws {
        try await train("", llm: golden)
        let losses = try String(
            contentsOfFile: scratch.path + "/small/training.jsonl", encoding: .utf8
        ).split(separator: "\n").compactMap { line in
            (try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?[
                "validation_loss"] as? Double
        }
        #expect(losses.count == 3 && losses[2] < 0.9 * losses[0], "\(losses)")
        let texts = ["word 5 apple", "word 11 apple", "word 3"]
        let written = try await Generated.run(
            ["--model", scratch.path + "/small", "--max-new-tokens", "8"], texts)
        #expect(written.allSatisfy { $0.text?.isEmpty == false })

        try FileManager.default.createDirectory(
            atPath: scratch.path + "/jobs", withIntermediateDirectories: true)
        try scratch.write(
            "jobs/pair.yaml",
            """
            name: pair
            mode: hybrid
            llm: llm
            slm: small
            prompt: "{document}"
            limits: {source_tokens: 100, new_tokens: 8}
            """.utf8)
        let pairs = texts.map { #"{"source": "\#($0)", "target": "answer"}"# }
        let data = try scratch.write("eval.jsonl", pairs.joined(separator: "\n").utf8)
        let ending = try await l2s(
            "eval", "--job-type", "pair", "--data", data, "--jobs", scratch.path + "/jobs",
            "--models", scratch.path, "--threads", "2", "--resamples", "20", "--json")
        #expect(ending.status == 0, "\(ending.remarks)")
        let found = try #require(
            JSONSerialization.jsonObject(with: Data(ending.output.utf8)) as? [String: Any])
        let rows = try #require(found["rows"] as? [[String: Any]])
        let variants = rows.compactMap { $0["variant"] as? String }
        #expect(variants.contains("llm") && variants.contains("hybrid"), "\(variants)")
        #expect(variants.contains("fallback"), "\(variants)")
        #expect(rows.allSatisfy { $0["failures"] as? Int == 0 })
    }

    @Test func whatIsMissingOrDisagreesIsNamed() async throws {
        func refusal(_ change: (String) throws -> Void) async throws -> String {
            let folder = try ScratchFolder()
            try folder.copy(fixture: "golden/marian/llm")
            try change(folder.path + "/llm")
            let ending = try await l2s(
                "generate", "--model", folder.path + "/llm", "--text", input: "a\n")
            #expect(ending.status == 2, "\(ending.output)")
            return ending.remarks
        }
        func remove(_ file: String) -> (String) throws -> Void {
            { try FileManager.default.removeItem(atPath: $0 + "/" + file) }
        }
        let noList = try await refusal(remove("vocab.json"))
        #expect(noList.contains("vocab.json"), "\(noList)")
        let noTokenizer = try await refusal { folder in
            for file in ["vocab.json", "source.spm", "target.spm"] { try remove(file)(folder) }
        }
        #expect(noTokenizer.contains("source.spm with target.spm and vocab.json"), "\(noTokenizer)")
        // The vocabulary of another model.
        let other = try await refusal {
            try FileManager.default.removeItem(atPath: $0 + "/vocab.json")
            try FileManager.default.copyItem(
                atPath: Fixtures.path("tokenizers/byte-level/vocab.json"),
                toPath: $0 + "/vocab.json")
        }
        #expect(other.contains("vocab.json"), "\(other)")
        for file in ["source.spm", "target.spm"] {
            let mixed = try await refusal {
                try FileManager.default.removeItem(atPath: $0 + "/" + file)
                try FileManager.default.copyItem(
                    atPath: Fixtures.path("golden/t5-v1.0/llm/spiece.model"),
                    toPath: $0 + "/" + file)
            }
            for words in ["vocab.json: ", "number the pieces of", file, "found 520 of 1497"] {
                #expect(mixed.contains(words), "\(words) in \(mixed)")
            }
        }
        let unknown = try await refusal {
            let file = $0 + "/config.json"
            let text = try String(contentsOfFile: file, encoding: .utf8)
            try text.replacing(#""model_type": "marian""#, with: #""model_type": "prophetnet""#)
                .write(toFile: file, atomically: true, encoding: .utf8)
        }
        for words in ["model_type", "marian", "prophetnet"] {
            #expect(unknown.contains(words), "\(words) in \(unknown)")
        }
    }

    @Test func positionsThatThereAreNoneOfAreNamed() async throws {
        for (flag, value, words) in [
            ("--max-source-tokens", "513", "limits.source_tokens to be at most 512"),
            ("--max-new-tokens", "513", "to be at most 512, the positions of"),
        ] {
            let ending = try await l2s(
                "generate", "--model", GoldenCase.model("marian"), flag, value, "--text",
                input: "a\n")
            #expect(ending.status == 2)
            #expect(ending.remarks.contains(words), "\(ending.remarks)")
        }
    }

    /// The refusal of a GGUF file of such a model names the families that GGUF files may have.
    @Test func ggufFilesOfThemAreRefused() async throws {
        let folder = Fixtures.path("golden/gguf-llama")
        let file = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder)
                .first { $0.hasSuffix(".gguf") })
        var bytes = try Data(contentsOf: URL(filePath: folder + "/" + file))
        // The value of general.architecture; the new name is as long.
        let place = try #require(bytes.firstRange(of: Data("general.architecture".utf8)))
        let value = try #require(
            bytes[place.upperBound...].firstRange(of: Data("llama".utf8)))
        bytes.replaceSubrange(value, with: Data("mbart".utf8))
        let path = try scratch.write("mbart.gguf", bytes)
        let ending = try await l2s("inspect", path)
        #expect(ending.status == 2)
        for words in ["general.architecture", "llama", "mbart"] {
            #expect(ending.remarks.contains(words), "\(words) in \(ending.remarks)")
        }
    }
}
