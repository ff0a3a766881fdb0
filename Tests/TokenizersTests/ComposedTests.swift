import FoundationEssentials
import TestSupport
import Testing

@testable import Tokenizers

/// Tokenizers that a tokenizer.json describes, compared with the Hugging Face library.
@Suite struct ComposedTests {
    /// What the library makes of a text: see Fixtures/tokenizers/generate_composed.py.
    private struct Case: Decodable {
        let text: String
        let template: [Int32]
        let document: [Int32]?
        let decoded: String
    }

    private func open(_ kind: String) throws -> ComposedTokenizer {
        let path = Fixtures.path("tokenizers/composed/\(kind).json")
        return ComposedTokenizer(try TokenizerJSON(path: path).parts())
    }

    private func cases(_ kind: String) throws -> [Case] {
        let path = Fixtures.path("tokenizers/composed/\(kind)-cases.json")
        return try JSONDecoder().decode([Case].self, from: Data(contentsOf: URL(filePath: path)))
    }

    @Test(arguments: ["llama3", "qwen2", "llama2", "metaspace", "t5", "unigram"])
    func agreesWithTheLibrary(kind: String) throws {
        let tokenizer = try open(kind)
        let cases = try cases(kind)
        #expect(cases.count > 180)
        #expect(cases.contains { $0.document != nil })
        for expected in cases {
            let name = Comment(rawValue: expected.text.debugDescription)
            let document = expected.document ?? expected.template
            // The library doubles an opening token that a prompt spells.
            let isDoubled = kind == "llama3" && expected.text.hasPrefix("<|begin_of_text|>")
            #expect(
                tokenizer.encode([.template(expected.text)], ends: .both)
                    == Array(expected.template.dropFirst(isDoubled ? 1 : 0)), name)
            if Self.makesPieceSpecial(kind, expected.text) { continue }
            #expect(tokenizer.encode(expected.text) == document, name)
            #expect(tokenizer.decode(document).bytes == expected.decoded.bytes, name)
        }
    }

    /// Whether the library's Unigram would take the name of a control token in a document for that
    /// token, which must not happen here.
    private static func makesPieceSpecial(_ kind: String, _ text: String) -> Bool {
        (kind == "t5" || kind == "unigram") && (text.contains("</s>") || text.contains("<pad>"))
    }

    /// The place where a prompt changes from template to document changes no id, except in names of
    /// tokens.
    @Test(arguments: ["llama3", "qwen2", "llama2", "metaspace", "t5", "unigram"])
    func readsAPromptAsOneText(kind: String) throws {
        let tokenizer = try open(kind)
        var random = SeededRandom(seed: 17)
        for expected in try cases(kind)
        where expected.document == nil && !Self.makesPieceSpecial(kind, expected.text) {
            let scalars = Array(expected.text.unicodeScalars)
            let cut = scalars.isEmpty ? 0 : Int(random.next() % UInt64(scalars.count))
            func text(_ part: some Sequence<Unicode.Scalar>) -> String {
                var text = String.UnicodeScalarView()
                text.append(contentsOf: part)
                return String(text)
            }
            let prompt = [
                PromptSegment.template(text(scalars[..<cut])), .document(text(scalars[cut...])),
            ]
            #expect(
                tokenizer.encode(prompt, ends: .both) == expected.template,
                "seed 17: \(expected.text.debugDescription) cut at \(cut)")
        }
    }

    @Test func onlyTemplatesSpellSpecialTokens() throws {
        let tokenizer = try open("qwen2")
        let (start, end) = (Int32(1), Int32(2))
        let ids = tokenizer.encode(
            [
                .template("<|im_start|>user\n"), .document("a <|im_end|> b <|im_"),
                .template("end|>"), .document("|>"), .template("<|im_end|>\n"),
            ], ends: .both)
        #expect(ids.filter { $0 < 3 } == [start, end])
        #expect(tokenizer.decode(ids) == "user\na <|im_end|> b <|im_end|>|>\n")
    }

    /// A document cannot make a special token together with the text around it, nor break one of
    /// the template's.
    @Test func documentsCannotReachAcrossASeam() throws {
        let tokenizer = try open("qwen2")
        let text = "<|im_end|>"
        for cut in text.indices.dropFirst() {
            let (head, tail) = (String(text[..<cut]), String(text[cut...]))
            #expect(
                !tokenizer.encode([.template(head), .document(tail)], ends: .both).contains(2))
            #expect(
                !tokenizer.encode([.document(head), .template(tail)], ends: .both).contains(2))
            let kept = tokenizer.encode([.document(head), .template(text)], ends: .both)
            #expect(kept.last == 2 && kept.filter { $0 == 2 }.count == 1, "\(head)")
        }
    }

    @Test func doesNotDoubleAnOpeningToken() throws {
        let tokenizer = try open("llama3")
        let spelled = tokenizer.encode([.template("<|begin_of_text|>a")], ends: .both)
        #expect(spelled == tokenizer.encode([.template("a")], ends: .both))
        #expect(spelled.filter { $0 == 0 }.count == 1)
        #expect(tokenizer.encode([.document("<|begin_of_text|>a")], ends: .both).first == 0)
        #expect(tokenizer.encode([.template("a")], ends: .closing) == Array(spelled.dropFirst()))
    }

    @Test(arguments: ["llama3", "qwen2", "llama2", "metaspace", "t5", "unigram"])
    func anyTextIsSafe(kind: String) throws {
        let tokenizer = try open(kind)
        let limit = Int32(tokenizer.vocabularySize)
        var random = SeededRandom(seed: 1_917)
        for _ in 0..<200 {
            let text = random.text(scalars: 40)
            let ids = tokenizer.encode(text)
            #expect(ids.allSatisfy { (0..<limit).contains($0) }, "\(text.debugDescription)")
            _ = tokenizer.decode((0..<20).map { _ in Int32(truncatingIfNeeded: random.next()) })
            _ = tokenizer.decode((0..<20).map { _ in Int32(random.next() % UInt64(limit)) })
        }
    }

    /// Caches are lent to one call at a time.
    @Test func encodesOnManyThreadsAtOnce() async throws {
        let tokenizer = try open("llama2")
        let cases = try cases("llama2")
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    cases.allSatisfy {
                        tokenizer.encode($0.text) == $0.document ?? $0.template
                    }
                }
            }
            for await agrees in group { #expect(agrees) }
        }
    }
}
