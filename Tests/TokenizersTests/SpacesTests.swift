import FoundationEssentials
import TestSupport
import Testing

@testable import Tokenizers

/// SentencePiece models that treat white space in other ways than T5's do: see
/// Fixtures/tokenizers/generate_spaces.py.
@Suite struct SpacesTests {
    private static let kinds = [
        "identity", "keeping", "bare", "bytes", "suffix", "symbols", "spanning", "pairs",
    ]

    private struct Case: Decodable {
        let text: String
        let ids: [Int32]
    }

    private func open(_ kind: String, chunkBytes: Int = 65_536) throws -> SentencePieceModel {
        try SentencePieceModel(
            path: Fixtures.path("tokenizers/spaces/\(kind).model"), chunkBytes: chunkBytes)
    }

    private func cases(_ kind: String) throws -> [Case] {
        let file = URL(filePath: Fixtures.path("tokenizers/spaces-cases.json"))
        let all = try JSONDecoder().decode([String: [Case]].self, from: Data(contentsOf: file))
        return try #require(all[kind])
    }

    private func ids(_ text: String, of model: SentencePieceModel) -> [Int32] {
        var ids: [Int32] = []
        model.append(Array(text.utf8), to: &ids)
        return ids
    }

    @Test(arguments: kinds)
    func agreesWithReference(kind: String) throws {
        let model = try open(kind)
        let cases = try cases(kind)
        #expect(cases.count > 20)
        for one in cases {
            #expect(ids(one.text, of: model) == one.ids, "\(one.text.debugDescription)")
        }
    }

    /// Ids are those of the whole text, however long it is.
    @Test(arguments: kinds)
    func longTextsAreReadAsShortOnes(kind: String) throws {
        let texts = try cases(kind).map(\.text)
        let text = texts.joined(separator: " and ")
        let whole = ids(text, of: try open(kind, chunkBytes: .max))
        for chunk in [1, 10, 100] {
            #expect(ids(text, of: try open(kind, chunkBytes: chunk)) == whole, "chunks of \(chunk)")
        }
        let long = String(repeating: text + "\n", count: 200_000 / text.utf8.count)
        #expect(
            ids(long, of: try open(kind)) == ids(long, of: try open(kind, chunkBytes: .max)))
    }

    /// Texts of scripts without blanks are cut between letters that no piece holds together. This
    /// changes no id either, and the library is never given much more than a chunk.
    @Test(arguments: ["unigram", "bpe"])
    func textsWithoutBlanksAreReadInPieces(kind: String) throws {
        let path = Fixtures.path("tokenizers/unspaced/\(kind).model")
        let file = URL(filePath: Fixtures.path("tokenizers/unspaced-cases.json"))
        let all = try JSONDecoder().decode([String: [Case]].self, from: Data(contentsOf: file))
        let cases = try #require(all[kind])
        #expect(cases.count == 5)
        for one in cases {
            for size in [1, 10, 100, 1000] {
                let cut = try SentencePieceModel(path: path, chunkBytes: size)
                #expect(ids(one.text, of: cut) == one.ids, "\(size): \(one.text.prefix(20))")
                let chunks = cut.chunks(of: one.text)
                #expect(chunks.joined() == one.text)
                let longest = chunks.map(\.utf8.count).max() ?? 0
                #expect(longest < size + 300, "\(size): \(longest)")
            }
        }
    }

    /// Texts of any script with blanks between words are cut there, which changes no id.
    @Test func textsOfAnyScriptAreCutBetweenWords() throws {
        let path = Fixtures.path("golden/t5-v1.0/llm/spiece.model")
        let texts = [
            "шум и голос в лесу", "το σπίτι είναι μεγάλο", "البيت كبير جدا", "집에 가고 싶다", "é à ü",
        ]
        let whole = try SentencePieceModel(path: path, chunkBytes: .max)
        for text in texts {
            let cut = try SentencePieceModel(path: path, chunkBytes: 1)
            #expect(cut.chunks(of: text).count > 2, "\(text)")
            #expect(cut.chunks(of: text).joined() == text)
            #expect(ids(text, of: cut) == ids(text, of: whole), "\(text)")
        }
    }
}
