import FoundationEssentials
import TestSupport
import Testing

@testable import Tokenizers

@Suite struct SentencePieceTests {
    private func open(chunkBytes: Int = 65_536) throws -> ComposedTokenizer {
        let folder = TokenizerFolder(path: Fixtures.path("golden/t5-v1.0/llm"))
        return ComposedTokenizer(
            try folder.sentencePiece(folder.path + "/spiece.model", chunkBytes: chunkBytes))
    }

    @Test func agreesWithReference() throws {
        let tokenizer = try open()
        let cases = try ReferenceCases("spiece-cases.json")
        #expect(tokenizer.vocabularySize == 1_500)
        #expect(cases.texts.count > 180)
        for expected in cases.texts {
            let name = Comment(rawValue: expected.text.debugDescription)
            #expect(tokenizer.encode(expected.text) == expected.ids + [1], name)
            #expect(
                tokenizer.decode(expected.ids + [1, 0, 0]).bytes == expected.decoded.bytes, name)
        }
        for expected in cases.ids {
            #expect(
                tokenizer.decode(expected.ids).bytes == expected.decoded.bytes, "\(expected.ids)")
        }
    }

    /// Every text starts at the first unit of the trie of a model's rules, also where that unit is
    /// marked as a value. The library would step out of its memory from there (SIGSEGV).
    @Test func rulesThatLeadOutsideFromTheirFirstUnitAreRefused() throws {
        let path = Fixtures.path("golden/t5-v1.0/llm/spiece.model")
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
        let name = try #require(bytes.firstRange(of: Array("nmt_nfkc".utf8)))
        // Behind the name come the key and the length of the table, in 4 bytes. The table starts
        // with the trie's size, in 4 bytes.
        let table = name.upperBound + 4..<name.upperBound + 4 + 240_007
        #expect(PrecompiledRules(Array(bytes[table])) != nil)
        let unit = table.lowerBound + 4
        bytes.replaceSubrange(unit..<unit + 4, with: [0x00, 0xFF, 0xFF, 0xFF])
        #expect(PrecompiledRules(Array(bytes[table])) == nil)
        let folder = try ScratchFolder()
        try folder.write("spiece.model", bytes)
        #expect {
            try openTokenizer(folder: folder.path)
        } throws: {
            "\($0)".contains("spiece.model: expected a SentencePiece model")
        }
    }

    /// The ids of the golden models are those of transformers.
    @Test(arguments: Fixtures.goldens)
    func agreesWithTransformers(golden: String) throws {
        struct Golden: Decodable {
            struct Case: Decodable {
                let document: String
                let input_ids: [Int32]
            }
            let cases: [Case]
        }
        let url = URL(filePath: Fixtures.path("golden/\(golden)/expected.json"))
        let expected = try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url))
        let tokenizer = try openTokenizer(folder: Fixtures.path("golden/\(golden)/llm"))
        #expect(!expected.cases.isEmpty)
        for one in expected.cases {
            #expect(tokenizer.encode(one.document) == one.input_ids)
        }
    }

    @Test func skipsIDsThatAreNoText() throws {
        let tokenizer = try open()
        let ids = tokenizer.encode("plain text")
        #expect(tokenizer.decode([0, -1, .min, .max, 1_500, 2] + ids + [0]) == "plain text")
        #expect(tokenizer.decode([]) == "")
    }

    @Test func namesOfSpecialTokensAreText() throws {
        let tokenizer = try open()
        let ids = tokenizer.encode("a </s> <pad> b")
        #expect(ids.filter { $0 < 2 } == [1])
        #expect(ids.last == 1)
    }

    /// T5 numbers its sentinels from the last row down.
    @Test func promptsMaySpellSentinels() throws {
        let tokenizer = try open()
        let ids = tokenizer.encode(
            [.template("<extra_id_0> a </s>"), .document(" <extra_id_1> b")], ends: .both)
        #expect(ids.first == 1_599)
        #expect(ids.filter { $0 > 1_499 }.count == 1)
        #expect(ids.filter { $0 == 1 }.count == 2)
        #expect(tokenizer.decode(ids).hasPrefix("a"))
        #expect(tokenizer.vocabularySize == 1_500)
    }

    /// Cutting between words changes no id.
    @Test func cutsLongTextsWithoutATrace() throws {
        let cases = try ReferenceCases("spiece-cases.json")
        let text = cases.texts.map(\.text).joined(separator: " and ")
        let whole = try open(chunkBytes: .max).encode(text)
        for chunk in [1, 10, 1_000] {
            let cut = try open(chunkBytes: chunk).encode(text)
            #expect(cut == whole, "chunks of \(chunk) bytes")
        }
    }

    @Test func longTexts() throws {
        let tokenizer = try open()
        let sentence = "The quick brown fox jumps over the lazy dog. "
        let one = tokenizer.encode(sentence).dropLast()
        let count = 10_000_000 / sentence.utf8.count
        let ids = tokenizer.encode(String(repeating: sentence, count: count))
        #expect(ids.count == one.count * count + 1)
        #expect(ids.dropLast().suffix(one.count) == one)
    }

    @Test func anyTextIsSafe() throws {
        let tokenizer = try open()
        var random = SeededRandom(seed: 1_729)
        for _ in 0..<300 {
            let text = random.text(scalars: 40)
            let ids = tokenizer.encode(text)
            #expect(ids.last == 1, "seed 1729: \(text.debugDescription)")
            #expect(ids.allSatisfy { (0..<1_500).contains($0) })
        }
    }

    @Test func encodesOnManyThreadsAtOnce() async throws {
        let tokenizer = try open()
        let texts = try ReferenceCases("spiece-cases.json").texts
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    texts.allSatisfy { tokenizer.encode($0.text) == $0.ids + [1] }
                }
            }
            for await agrees in group { #expect(agrees) }
        }
    }
}
