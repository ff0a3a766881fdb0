import Jobs
import TestSupport
import Testing
import Tokenizers

@testable import Pipeline

@Suite struct ShortlistFileTests {
    private let folder = Fixtures.path("golden/t5-v1.0/llm")

    private func shortlist(_ bytes: some Sequence<UInt8>) throws -> [Int32] {
        let scratch = try ScratchFolder()
        return try Shortlist(
            path: try scratch.write("list", bytes), tokenizer: openTokenizer(folder: folder),
            vocabulary: 1_500
        ).tokens
    }

    @Test func numbersAndPiecesAreRead() throws {
        let tokenizer = try openTokenizer(folder: folder)
        let the = try #require(tokenizer.ids(ofPieces: ["▁the"])[0])
        #expect(tokenizer.decode([the]) == "the")
        #expect(try shortlist("7\r\n\n▁the\n1499\n7".utf8) == [7, the, 1_499, 7])
        #expect(try shortlist("\u{FEFF}▁the\n7".utf8) == [the, 7])
    }

    @Test(arguments: [
        ("", "none, or an empty one"), ("\n\n", "at least one token, found none"),
        ("5\n1500", "list:2: expected the shortlist to hold a token below 1500"),
        ("99999999999999999999", "list:1"), ("-1", "list:1"), ("5\n6\nno piece", "list:3"),
    ])
    func whatIsNoTokenIsRefusedByItsLine(text: String, words: String) {
        #expect {
            try shortlist(text.utf8)
        } throws: {
            "\($0)".contains(words) && !"\($0)".contains("no piece")
        }
    }

    @Test func otherBytesAndNoFileAreRefused() throws {
        #expect(throws: ShortlistError.self) { try shortlist([0xFF, 0xFE, 0x0A]) }
        var type = try goldenType("t5-v1.0")
        type.shortlist = "/nowhere/list"
        #expect {
            try ModelLibrary(jobTypes: [type], modelsFolder: "/")
        } throws: {
            "\($0)".contains("job type t5-v1.0: /nowhere/list")
        }
    }

    @Test func outputsKeepToTheList() async throws {
        let scratch = try ScratchFolder()
        var type = try goldenType("t5-v1.0")
        type.shortlist = try scratch.write("list", "5\n6\n7\n".utf8)
        var twin = type
        twin.name = "twin"
        twin.decoding.noRepeatNgram = 1
        let library = try ModelLibrary(jobTypes: [type, twin], modelsFolder: "/")
        #expect(
            library.routes[type.name]?.generator.head === library.routes["twin"]?.generator.head)
        let pipeline = Pipeline(library: library, settings: PipelineTests.settings[1])
        defer { pipeline.stop() }
        let finished = await pipeline.process([
            SourceDocument(id: 1, jobType: type.name, text: "some text"),
            SourceDocument(id: 2, jobType: "twin", text: "some text"),
        ])
        let tokens = try #require(finished[1]?.tokens)
        #expect(Set(tokens).isSubset(of: [1, 5, 6, 7]))
        let distinct = try #require(finished[2]?.tokens)
        #expect(Set(distinct).count == distinct.count && distinct.count <= 4)
    }
}
