import FoundationEssentials
import TestSupport
import Testing

@testable import Tokenizers

@Suite struct ByteLevelTests {
    enum Files: CaseIterable { case vocabularyAndMerges, tokenizerJSON }

    private func open(_ files: Files = .vocabularyAndMerges) throws -> any Tokenizer {
        let scratch = try ScratchFolder()
        let names =
            files == .tokenizerJSON ? ["tokenizer.json"] : ["vocab.json", "merges.txt"]
        for name in names { try scratch.copy(fixture: "tokenizers/byte-level/" + name) }
        return try openTokenizer(folder: scratch.path)
    }

    @Test(arguments: Files.allCases)
    func agreesWithReference(files: Files) throws {
        let tokenizer = try open(files)
        let cases = try ReferenceCases("byte-level-cases.json")
        #expect(tokenizer.vocabularySize == 1_257)
        #expect(cases.texts.count > 180)
        for expected in cases.texts {
            #expect(
                tokenizer.encode(expected.text) == expected.ids, "\(expected.text.debugDescription)"
            )
            #expect(tokenizer.decode(expected.ids).bytes == expected.text.bytes)
        }
        for expected in cases.ids {
            #expect(
                tokenizer.decode(expected.ids).bytes == expected.decoded.bytes, "\(expected.ids)")
        }
    }

    @Test(arguments: Files.allCases)
    func findsPiecesAsTheVocabularySpellsThem(files: Files) throws {
        let tokenizer = try open(files)
        let ids = tokenizer.ids(ofPieces: ["Ġthe", " the", "e", "no such piece", ""])
        #expect(ids.map { $0 != nil } == [true, false, true, false, false])
        #expect(tokenizer.decode(ids.compactMap(\.self)) == " thee")
    }

    @Test func skipsIDsThatAreNoText() throws {
        let tokenizer = try open()
        let ids = tokenizer.encode("plain text")
        #expect(tokenizer.decode([0, -1, .min, .max, 1_257] + ids + [0]) == "plain text")
    }

    @Test func namesOfSpecialTokensAreText() throws {
        let tokenizer = try open(.tokenizerJSON)
        let ids = tokenizer.encode("a<|endoftext|>b")
        #expect(!ids.contains(0))
        #expect(tokenizer.decode(ids) == "a<|endoftext|>b")
    }

    /// SmolLM2's vocabulary has no U+0004, and the library drops it.
    @Test func bytesWithoutAnEntryAreNothing() throws {
        let scratch = try ScratchFolder()
        for name in ["vocab.json", "merges.txt"] {
            try scratch.copy(fixture: "tokenizers/byte-level/" + name)
        }
        let whole = try openTokenizer(folder: scratch.path)
        let path = scratch.path + "/vocab.json"
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        let missing = try #require(whole.ids(ofPieces: ["Ą"])[0])
        let cut = text.replacing(#/"(Ą|\\u0104)": ?\d+, ?/#, with: "")
        #expect(cut != text)
        try scratch.write("vocab.json", cut.utf8)
        let tokenizer = try openTokenizer(folder: scratch.path)
        #expect(whole.encode("a\u{4}b").contains(missing))
        #expect(tokenizer.encode("a\u{4}b") == whole.encode("a\u{4}b").filter { $0 != missing })
    }

    @Test func everyTextSurvives() throws {
        let tokenizer = try open()
        var random = SeededRandom(seed: 20_402)
        for _ in 0..<300 {
            let text = random.text(scalars: 40)
            #expect(
                tokenizer.decode(tokenizer.encode(text)).bytes == text.bytes,
                "seed 20402: \(text.debugDescription)")
        }
    }

    /// The heap must give what the plain rule gives: join the pair of lowest rank, leftmost first.
    @Test func mergesLikeThePlainRule() throws {
        var table = MergeTable(capacity: 4)
        var random = SeededRandom(seed: 7)
        for rank in 0..<40 {
            let pair = (Int32(random.next() % 12), Int32(random.next() % 12))
            guard table[pair.0, pair.1] == nil else { continue }
            table[pair.0, pair.1] = .init(rank: Int32(rank), result: Int32(rank % 12))
        }
        for _ in 0..<300 {
            let word = (0..<Int(random.next() % 60)).map { _ in Int32(random.next() % 12) }
            #expect(table.merged(word) == plainlyMerged(word, table), "seed 7: \(word)")
        }
    }

    private func plainlyMerged(_ symbols: [Int32], _ table: MergeTable) -> [Int32] {
        var symbols = symbols
        while true {
            let best = symbols.indices.dropLast()
                .compactMap { index in
                    table[symbols[index], symbols[index + 1]].map { (index, $0) }
                }
                .min { ($0.1.rank, $0.0) < ($1.1.rank, $1.0) }
            guard let best else { return symbols }
            symbols.replaceSubrange(best.0...best.0 + 1, with: [best.1.result])
        }
    }

    /// With quadratic cost, this would run for hours.
    @Test func longWordsAreNotQuadratic() throws {
        let tokenizer = try open()
        let word = String(repeating: "ingtheration", count: 20_000)
        #expect(tokenizer.decode(tokenizer.encode(word)) == word)
    }
}
