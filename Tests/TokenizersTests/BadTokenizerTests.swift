import FoundationEssentials
import TestSupport
import Testing
import Tokenizers

/// What a damaged or missing tokenizer says.
@Suite struct BadTokenizerTests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private func message(of work: () throws -> any Tokenizer) -> String {
        do {
            _ = try work()
            return "no error"
        } catch {
            #expect(error is TokenizerError)
            return "\(error)"
        }
    }

    private func openFolder() -> String { message { try openTokenizer(folder: folder.path) } }

    @Test func missing() {
        #expect(
            openFolder() == "\(folder.path): expected a tokenizer in the folder (spiece.model, or "
                + "vocab.json with merges.txt, or tokenizer.json), found none; copy it from where "
                + "the model came from")
    }

    @Test func opensWhatIsThere() throws {
        try folder.copy(fixture: "tokenizers/byte-level/tokenizer.json")
        #expect(try openTokenizer(folder: folder.path).vocabularySize == 1_257)
        try folder.copy(fixture: "golden/t5-v1.0/llm/spiece.model")
        #expect(try openTokenizer(folder: folder.path).vocabularySize == 1_500)
    }

    /// A truncated model is refused, or opens when the cut left whole pieces; it never traps.
    @Test func truncatedSentencePiece() throws {
        let whole = try Data(
            contentsOf: URL(filePath: Fixtures.path("golden/t5-v1.0/llm/spiece.model")))
        var refused = 0
        for size in [0, 1, 100, 4_096, whole.count / 2, whole.count - 1] {
            try folder.write("spiece.model", whole.prefix(size))
            if openFolder().contains("expected a SentencePiece model") { refused += 1 }
        }
        #expect(refused == 6)
    }

    @Test func noSentencePieceAtAll() throws {
        try folder.write("spiece.model", "just text, no model".utf8)
        #expect(openFolder().contains("spiece.model: expected a SentencePiece model"))
        try folder.write("spiece.model", "version https://git-lfs.github.com/spec/v1\noid".utf8)
        #expect(openFolder().contains("git lfs pull"))
    }

    @Test func folderInPlaceOfFile() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/spiece.model", withIntermediateDirectories: false)
        #expect(openFolder().contains("expected a file"))
    }

    private func openPair(vocabulary: String? = nil, merges: String = "#version: 0.2\n") throws
        -> String
    {
        if let vocabulary {
            try folder.write("vocab.json", vocabulary.utf8)
        } else {
            try? FileManager.default.removeItem(atPath: folder.path + "/vocab.json")
            try folder.copy(fixture: "tokenizers/byte-level/vocab.json")
        }
        try folder.write("merges.txt", merges.utf8)
        return openFolder()
    }

    @Test func contradictoryFiles() throws {
        #expect(try openPair() == "no error")
        #expect(try openPair(merges: "a b c\n").contains("line 1: expected two parts"))
        #expect(try openPair(merges: "#version: 0.2\na b\nab\n").contains("line 3"))
        #expect(try openPair(merges: "q w\n").contains("found no \"qw\""))
        #expect(try openPair(vocabulary: "[1, 2]").contains("expected a JSON object of ids"))
        let path = Fixtures.path("tokenizers/byte-level/vocab.json")
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        #expect(
            try openPair(vocabulary: "{\"x y\": 7, " + text.dropFirst()).contains("several for one")
        )
        #expect(try openPair(vocabulary: "{").contains("expected a JSON object of ids"))
        #expect(try openPair(vocabulary: "{\"a\": 0}").contains("every byte"))
    }

    @Test(arguments: ["-1", "4194304", "99999999999", "1e400"])
    func outlandishIDs(id: String) throws {
        let path = Fixtures.path("tokenizers/byte-level/vocab.json")
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        let message = try openPair(vocabulary: "{\"x y\": \(id), " + text.dropFirst())
        #expect(
            message.contains("expected ids from 0") || message.contains("expected a JSON object"))
    }

    @Test(arguments: [
        ("\"use_regex\":true", "\"use_regex\":false", "pre_tokenizer.use_regex"),
        ("\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", "normalizer"),
        ("\"type\":\"BPE\"", "\"type\":\"WordPiece\"", "model.type"),
        ("\"byte_fallback\":false", "\"byte_fallback\":true", "model.byte_fallback"),
        ("\"ignore_merges\":false", "\"ignore_merges\":true", "model.ignore_merges"),
    ])
    func unsupportedSetting(from: String, to: String, field: String) throws {
        let path = Fixtures.path("tokenizers/byte-level/tokenizer.json")
        // Only white space that stands outside of strings separates here.
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
            .split(separator: "\n").map { $0.drop { $0 == " " } }.joined()
            .replacing("\": ", with: "\":")
        let changed = text.replacing(from, with: to)
        #expect(changed != text)
        try folder.write("tokenizer.json", changed.utf8)
        #expect(openFolder().contains("expected \(field) to be"))
    }

    @Test func tokenizerJSONOfAnotherKind() throws {
        try folder.write("tokenizer.json", "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}".utf8)
        #expect(openFolder().contains("expected a tokenizer.json with a BPE model"))
    }
}
