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
            openFolder()
                == "\(folder.path): expected a tokenizer in the folder (tokenizer.json, or "
                + "spiece.model, or vocab.json with merges.txt, or source.spm with target.spm and "
                + "vocab.json, or sentencepiece.bpe.model, or a GGUF file), found none; copy it from "
                + "where the model came from")
    }

    @Test func opensWhatIsThere() throws {
        try folder.copy(fixture: "tokenizers/byte-level/tokenizer.json")
        #expect(try openTokenizer(folder: folder.path).vocabularySize == 1_257)
        try folder.copy(fixture: "golden/t5-v1.0/llm/spiece.model")
        #expect(openFolder().contains("take both files from one model"))
        try FileManager.default.removeItem(atPath: folder.path + "/tokenizer.json")
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

    /// What these files say decides how the others are read, so that a damaged one is no missing one.
    @Test(arguments: [
        ("golden/t5-v1.0/llm/spiece.model", "tokenizer_config.json"),
        ("golden/t5-v1.0/llm/spiece.model", "config.json"),
        ("tokenizers/byte-level/vocab.json", "tokenizer_config.json"),
    ])
    func damagedSettingsAreNamed(fixture: String, settings: String) throws {
        try folder.copy(fixture: fixture)
        try folder.write("merges.txt", "#version: 0.2\n".utf8)
        #expect(openFolder() == "no error")
        try folder.write(settings, "{\"model_type\": ".utf8)
        #expect(openFolder().contains("\(settings): expected"), "\(openFolder())")
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
        #expect(try openPair(vocabulary: "{").contains("found no such JSON"))
        #expect(try openPair(vocabulary: "{\"a\": 0}").contains("every printable ASCII character"))
    }

    @Test(arguments: ["-1", "4194304", "99999999999", "1e400"])
    func outlandishIDs(id: String) throws {
        let path = Fixtures.path("tokenizers/byte-level/vocab.json")
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        let message = try openPair(vocabulary: "{\"x y\": \(id), " + text.dropFirst())
        #expect(
            message.contains("expected ids from 0") || message.contains("found no such JSON"))
    }

    @Test(arguments: [
        ("\"normalizer\":null", "\"normalizer\":{\"type\":\"Lowercase\"}", "normalizer"),
        ("\"type\":\"BPE\"", "\"type\":\"WordPiece\"", "model.type"),
        ("\"dropout\":null", "\"dropout\":0.1", "model.dropout"),
        (
            "\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"",
            "model.end_of_word_suffix"
        ),
        (
            "\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"Bert\"",
            "pre_tokenizer"
        ),
        ("\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"CTC\"", "decoder"),
        (
            "\"post_processor\":{\"type\":\"ByteLevel\"", "\"post_processor\":{\"type\":\"Other\"",
            "post_processor"
        ),
    ])
    func unsupportedSetting(from: String, to: String, field: String) throws {
        let path = Fixtures.path("tokenizers/byte-level/tokenizer.json")
        // In this file, blanks at the start of a line and behind a colon are outside of strings.
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
            .split(separator: "\n").map { $0.drop { $0 == " " } }.joined()
            .replacing("\": ", with: "\":")
        let changed = text.replacing(from, with: to)
        #expect(changed != text)
        try folder.write("tokenizer.json", changed.utf8)
        #expect(openFolder().contains("expected \(field) to be"))
    }

    @Test(arguments: [
        ("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "a list of pieces and scores"),
        ("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[1,2]]}}", "a piece and its score"),
        ("{\"model\":{\"type\":\"Unigram\",\"unk_id\":7,\"vocab\":[[\"a\",0]]}}", "below 1, got 7"),
        ("{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "model.merges to be a list"),
        (
            "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}",
            "expected ids from 0"
        ),
        ("{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[\"a\"]}}", "to hold two parts"),
        ("{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[\"a b\"]}}", "found no \"a\""),
        ("{\"added_tokens\":[{\"id\":0}],\"model\":{\"vocab\":{}}}", "a content and an id"),
        ("{}", "with a model"), ("[1", "found no such JSON"), ("", "a value at byte 0"),
        ("{\"model\":{\"vocab\":{\"a\":\"\\ud800\"}}}", "a pair of surrogates"),
    ])
    func tokenizerJSONThatIsNone(text: String, reason: String) throws {
        try folder.write("tokenizer.json", text.utf8)
        #expect(openFolder().contains(reason), "\(openFolder())")
    }

    /// A negative id would lead outside of the table of token vectors, and a text without one of
    /// its ends would be another text.
    @Test(arguments: ["-5", "0.5", "4194304", "1e300", "null", #""0""#])
    func outlandishIDsAtTheEndsOfATextAreNamed(id: String) throws {
        for (settings, field) in [
            (#""BertProcessing", "cls": ["a", \#(id)], "sep": ["a", 0]"#, "cls"),
            (#""RobertaProcessing", "cls": ["a", 0], "sep": ["a", \#(id)]"#, "sep"),
            (
                #""TemplateProcessing", "single": [{"SpecialToken": {"id": "a"}}, "#
                    + #"{"Sequence": {"id": "A"}}], "special_tokens": {"a": {"ids": [0, \#(id)]}}"#,
                "special_tokens"
            ),
        ] {
            try folder.write(
                "tokenizer.json",
                (#"{"model": {"type": "Unigram", "vocab": [["a", 0]]}, "post_processor": {"type": "#
                    + settings + "}}").utf8)
            #expect(
                openFolder().contains("expected the ids of post_processor.\(field) to be whole"),
                "\(openFolder())")
        }
    }

    @Test func aPieceOfMegabytesIsRefused() throws {
        let piece = String(repeating: "a", count: 2_000_000)
        try folder.write(
            "tokenizer.json",
            #"{"model": {"type": "Unigram", "vocab": [["a", 0], ["\#(piece)", 0]]}}"#.utf8)
        #expect(openFolder().contains("model.vocab[1] to be a piece of at most 1024 bytes"))
    }

    @Test func nestingIsBounded() throws {
        try folder.write("tokenizer.json", String(repeating: "[", count: 1_000_000).utf8)
        #expect(openFolder().contains("expected at most 64 levels"))
    }
}
