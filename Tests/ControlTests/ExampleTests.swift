import Foundation
import TestSupport
import Testing

/// The job files of jobs/examples, with a small model of its family in the place of each model.
@Suite struct ExampleTests {
    private static let folder = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "jobs/examples").path

    private static let nllb = """
        {"tokenizer_class": "NllbTokenizer", "src_lang": "eng_Latn", \
        "additional_special_tokens": ["deu_Latn", "eng_Latn", "ita_Latn"]}
        """
    private static let mbart = """
        {"tokenizer_class": "MBart50Tokenizer", "src_lang": "en_XX", \
        "additional_special_tokens": ["de_DE", "en_XX", "it_IT"]}
        """

    /// A home folder with the job files and all that they name.
    private func home() throws -> ScratchFolder {
        let home = try ScratchFolder()
        let owners = ["Helsinki-NLP", "sshleifer", "google", "facebook"]
        for folder in ["jobs"] + owners.map({ "models/" + $0 }) {
            try FileManager.default.createDirectory(
                atPath: home.path + "/" + folder, withIntermediateDirectories: true)
        }
        let models = [
            ("golden/marian/llm", "Helsinki-NLP/opus-mt-en-it"),
            ("golden/bart/llm", "sshleifer/distilbart-cnn-12-6"),
            ("families/pegasus/llm", "google/pegasus-xsum"),
            ("families/mbart/llm", "facebook/mbart-large-50-many-to-many-mmt"),
            ("families/m2m_100/llm", "facebook/nllb-200-distilled-600M"),
        ]
        for (fixture, name) in models {
            try home.copy(fixture: fixture, as: "models/" + name)
        }
        let (pegasus, mbart, nllb) = (models[2].1, models[3].1, models[4].1)
        try home.copy(
            fixture: "tokenizers/small/pegasus.model", as: "models/\(pegasus)/spiece.model")
        try home.copy(
            fixture: "tokenizers/small/mbart.model",
            as: "models/\(mbart)/sentencepiece.bpe.model")
        try home.write("models/\(mbart)/tokenizer_config.json", Self.mbart.utf8)
        // NLLB numbers its pieces by their places in the model file, and has no vocab.json.
        try FileManager.default.removeItem(atPath: "\(home.path)/models/\(nllb)/vocab.json")
        try home.write("models/\(nllb)/tokenizer_config.json", Self.nllb.utf8)
        for file in try FileManager.default.contentsOfDirectory(atPath: Self.folder) {
            let text = try String(contentsOfFile: Self.folder + "/" + file, encoding: .utf8)
            // The small models have fewer positions.
            try home.write(
                "jobs/" + file,
                text.replacing(/source_tokens: \d+/, with: "source_tokens: 100\n  new_tokens: 50")
                    .utf8)
        }
        return home
    }

    private func l2s(_ arguments: String..., input: String = "") async throws
        -> RunningProgram.Ending
    {
        try await BuiltProgram("l2s").run(arguments, input: Array(input.utf8))
    }

    @Test func everyExampleIsReadAndOpened() async throws {
        let home = try home()
        let ending = try await l2s(
            "check", "--jobs", home.path + "/jobs", "--models", home.path + "/models")
        #expect(ending.status == 0, "\(ending.output)\(ending.remarks)")
        for name in [
            "opus-mt-en-it", "distilbart-cnn", "pegasus-xsum", "mbart-50-en-it", "nllb-en-it",
        ] {
            #expect(ending.output.contains(name))
        }
        // Without the models, nothing else is wrong with the examples.
        let bare = try await l2s(
            "check", "--jobs", Self.folder, "--models", home.path + "/jobs", "--json")
        #expect(bare.status == 1)
        let report = try #require(
            JSONSerialization.jsonObject(with: Data(bare.output.utf8)) as? [String: Any])
        let problems = try #require(report["problems"] as? [String])
        #expect(problems.count == 5)
        #expect(problems.allSatisfy { $0.contains("no such folder") }, "\(problems)")
    }

    /// The token of the target language is written first, and that of the source read first.
    @Test(arguments: [
        ("facebook/mbart-large-50-many-to-many-mmt", "en_XX", "it_IT"),
        ("facebook/nllb-200-distilled-600M", "eng_Latn", "ita_Latn"),
    ])
    func languagesOfTheExamplesAreTokens(
        _ model: String, _ source: String, _ target: String
    ) async throws {
        let home = try home()
        let folder = home.path + "/models/" + model
        func firstToken(_ target: String) async throws -> Int32? {
            try await Generated.run(
                [
                    "--model", folder, "--max-new-tokens", "3", "--source-language", source,
                    "--target-language", target,
                ], ["an open server"]
            ).first?.tokenIds?.first
        }
        let (first, other) = (try await firstToken(target), try await firstToken(source))
        #expect(first == other.map { $0 + 1 })
        let ending = try await l2s(
            "generate", "--model", folder, "--target-language", "tlh", "--text", input: "a\n")
        #expect(ending.status == 2)
        for words in ["target_language to be a language of", target, "got tlh"] {
            #expect(ending.remarks.contains(words), "\(words) in \(ending.remarks)")
        }
    }
}
