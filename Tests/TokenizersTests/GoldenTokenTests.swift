import FoundationEssentials
import TestSupport
import Testing
import Tokenizers

/// The ids and texts of the golden models are those of transformers.
@Suite struct GoldenTokenTests {
    fileprivate struct Golden: Decodable {
        struct Case: Decodable {
            let document: String
            let input_ids: [Int32]
            let greedy_ids: [Int32]
            let decoded: String?
        }
        let cases: [Case]
    }

    private static let folders = ["llama", "gemma3", "t5gemma", "bart", "marian"]

    private func golden(_ name: String) throws -> [Golden.Case] {
        let url = URL(filePath: Fixtures.path("golden/\(name)/expected.json"))
        return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url)).cases
    }

    @Test(arguments: folders)
    func agreesWithTransformers(name: String) throws {
        let tokenizer = try openTokenizer(folder: Fixtures.path("golden/\(name)/llm"))
        let cases = try golden(name)
        #expect(cases.count == 8)
        for one in cases {
            let document = Comment(rawValue: one.document.debugDescription)
            #expect(
                tokenizer.encode([.template(one.document)], ends: .both) == one.input_ids, document)
            if let decoded = one.decoded {
                #expect(tokenizer.decode(one.greedy_ids).bytes == decoded.bytes, document)
            }
        }
    }

    /// The tokenizer inside a GGUF file is that of the folder it was made from.
    @Test(arguments: [
        "gguf-llama/llama-f16.gguf", "gguf-llama/llama-q8_0.gguf", "gguf-llama/llama-q4_0.gguf",
        "gguf-llama-k/llama-q4_k_m.gguf", "gguf-llama-k",
    ])
    func agreesWithTransformersFromGGUF(path: String) throws {
        struct Golden: Decodable { let models: [String: [GoldenTokenTests.Golden.Case]] }
        let folder = Fixtures.path("golden/" + path.prefix { $0 != "/" })
        let models = try JSONDecoder().decode(
            Golden.self, from: Data(contentsOf: URL(filePath: folder + "/expected.json"))
        ).models
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        let cases = try #require(models[name] ?? models.values.first)
        let tokenizer = try openTokenizer(folder: Fixtures.path("golden/" + path))
        for one in cases {
            let document = Comment(rawValue: one.document.debugDescription)
            #expect(
                tokenizer.encode([.template(one.document)], ends: .both) == one.input_ids, document)
        }
    }

    /// Everything that a document spells stays text, and comes back as it was.
    @Test(arguments: folders)
    func documentsBringNoSpecialTokens(name: String) throws {
        let tokenizer = try openTokenizer(folder: Fixtures.path("golden/\(name)/llm"))
        let ends = tokenizer.encode([.document("")], ends: .both)
        for one in try golden(name) {
            let ids = tokenizer.encode([.document(one.document)], ends: .none)
            #expect(Set(ids).isDisjoint(with: ends), "\(one.document.debugDescription)")
            if name != "marian" {
                // SentencePiece's mark stands for a blank, also where a text has it.
                let text =
                    name.contains("gemma")
                    ? one.document.replacing("\u{2581}", with: " ") : one.document
                #expect(tokenizer.decode(ids).bytes == text.bytes)
            }
        }
    }
}
