import FoundationEssentials
import TestSupport
import Testing

@testable import Tokenizers

/// Tokenizers out of the metadata of a GGUF file.
@Suite struct VocabularyMetadataTests {
    /// Metadata without a file.
    private struct Metadata: VocabularyMetadata {
        let path = "model.gguf"
        var values: [String: any Sendable] = [:]

        private func value<Value>(_ key: String, _: Value.Type) -> Value? {
            values[key.replacing("tokenizer.ggml.", with: "")] as? Value
        }
        func whole(_ key: String) -> Int? { value(key, Int.self) }
        func flag(_ key: String) -> Bool? { value(key, Bool.self) }
        func text(_ key: String) -> String? { value(key, String.self) }
        func texts(_ key: String) -> [String]? { value(key, [String].self) }
        func wholes(_ key: String) -> [Int]? { value(key, [Int].self) }
        func numbers(_ key: String) -> [Float]? { value(key, [Float].self) }
    }

    private func tree(_ fixture: String) throws -> JSONTree {
        try JSONTree(file: Fixtures.path(fixture))
    }

    /// A tokenizer.json's byte-level BPE as llama.cpp's converter writes it.
    private func metadata(of fixture: String, pre: String) throws -> Metadata {
        let tree = try tree(fixture)
        let entries = try #require(tree["model"]?["vocab"]?.fields)
        var tokens = [String](repeating: "", count: entries.count)
        for (piece, id) in entries { tokens[try #require(id.whole)] = piece }
        var kinds = [Int](repeating: 1, count: tokens.count)
        for token in tree["added_tokens"]?.list ?? [] {
            kinds[try #require(token["id"]?.whole)] = 3
        }
        let merges = try #require(tree["model"]?["merges"]?.list).map { merge in
            merge.text ?? (merge.list ?? []).compactMap(\.text).joined(separator: " ")
        }
        return Metadata(values: [
            "model": "gpt2", "pre": pre, "tokens": tokens, "token_type": kinds, "merges": merges,
            "add_bos_token": false, "bos_token_id": 1, "eos_token_id": 2,
        ])
    }

    @Test func byteLevelAgreesWithTheFolder() throws {
        let tokenizer = try openTokenizer(
            metadata: metadata(of: "golden/llama/llm/tokenizer.json", pre: "smollm"))
        let folder = try openTokenizer(folder: Fixtures.path("golden/llama/llm"))
        for one in try ReferenceCases("byte-level-cases.json").texts {
            let prompt = [PromptSegment.template("<|im_start|>user\n"), .document(one.text)]
            let ids = folder.encode(prompt, ends: .both)
            #expect(tokenizer.encode(prompt, ends: .both) == ids, "\(one.text.debugDescription)")
            #expect(tokenizer.decode(ids).bytes == folder.decode(ids).bytes)
        }
    }

    @Test func aChatTemplateComesWithItsTokens() throws {
        let text = "{{ bos_token }}{{ messages[0]['content'] }}"
        var metadata = Metadata(values: [
            "tokenizer.chat_template": text, "tokens": ["a", "<s>"], "bos_token_id": 1,
            "eos_token_id": 2,
        ])
        let found = try #require(try chatTemplate(metadata: metadata))
        #expect(found.tokens == ["bos_token": "<s>"])
        metadata.values["tokenizer.chat_template"] = nil
        let none = try chatTemplate(metadata: metadata)
        #expect(none == nil)
    }

    @Test func llama3IsReadWithItsOpeningToken() throws {
        var metadata = try metadata(of: "tokenizers/composed/llama3.json", pre: "llama-bpe")
        metadata.values["add_bos_token"] = nil
        metadata.values["bos_token_id"] = 0
        metadata.values["eos_token_id"] = 1
        let tokenizer = try openTokenizer(metadata: metadata)
        let folder = ComposedTokenizer(
            try TokenizerJSON(path: Fixtures.path("tokenizers/composed/llama3.json")).parts())
        for one in try ReferenceCases("byte-level-cases.json").texts {
            #expect(
                tokenizer.encode(one.text) == folder.encode(one.text),
                "\(one.text.debugDescription)")
        }
    }

    /// To open the vocabulary, and to encode with it, would take the square of its longest piece.
    @Test(arguments: ["llama", "t5"])
    func aPieceOfMegabytesIsRefused(model: String) throws {
        func metadata(_ length: Int) -> Metadata {
            Metadata(values: [
                "model": model, "tokens": ["a", "b", String(repeating: "a", count: length)],
                "scores": [Float](repeating: -1, count: 3), "eos_token_id": 1,
            ])
        }
        #expect(try openTokenizer(metadata: metadata(1_024)).vocabularySize == 3)
        #expect {
            try openTokenizer(metadata: metadata(4_000_000))
        } throws: {
            "\($0)".contains(
                "tokenizer.ggml.tokens: expected tokens of at most 1024 bytes, found one of 4000000"
            )
        }
    }

    /// The expected ids and texts are those of the sentencepiece library.
    @Test func scoredPiecesAgreeWithSentencePiece() throws {
        let scored = try tree("tokenizers/scored.json")
        let tokens = try #require(scored["tokens"]?.list).compactMap(\.text)
        let scores = try #require(scored["scores"]?.list).compactMap(\.number)
        let kinds = try #require(scored["kinds"]?.list).compactMap(\.whole)
        let tokenizer = try openTokenizer(
            metadata: Metadata(values: [
                "model": "llama", "tokens": tokens, "scores": scores.map { Float($0) },
                "token_type": kinds, "bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0,
            ]))
        let texts = try #require(scored["texts"]?.list)
        #expect(texts.count > 150)
        for one in texts {
            let text = try #require(one["text"]?.text)
            let ids = try #require(one["ids"]?.list).compactMap { $0.whole.map { Int32($0) } }
            #expect(tokenizer.encode(text) == [1] + ids, "\(text.debugDescription)")
            #expect(tokenizer.decode(ids).bytes == one["decoded"]?.text?.bytes)
        }
    }

    /// The ids of a T5's pieces are those of SentencePiece.
    @Test func unigramPiecesAgreeWithSentencePiece() throws {
        let tree = try tree("tokenizers/composed/t5.json")
        let vocabulary = try #require(tree["model"]?["vocab"]?.list).compactMap(\.list)
        let rules = try #require(tree["normalizer"]?["precompiled_charsmap"]?.text)
        let bytes = try #require(Data(base64Encoded: rules))
        let tokenizer = try openTokenizer(
            metadata: Metadata(values: [
                "model": "t5", "tokens": vocabulary.compactMap { $0[0].text },
                "scores": vocabulary.compactMap { $0[1].number.map { Float($0) } },
                "token_type": vocabulary.indices.map { index in
                    let isByte = vocabulary[index][0].text?.hasPrefix("<0x") == true
                    return index == 2 ? 2 : index < 2 ? 3 : isByte ? 6 : 1
                },
                "eos_token_id": 1, "padding_token_id": 0, "unknown_token_id": 2,
                "remove_extra_whitespaces": true, "precompiled_charsmap": bytes.map { Int($0) },
            ]))
        for one in try ReferenceCases("spiece-cases.json").texts where !one.text.contains("\0") {
            #expect(tokenizer.encode(one.text) == one.ids + [1], "\(one.text.debugDescription)")
            #expect(tokenizer.decode(one.ids).bytes == one.decoded.bytes)
        }
    }

    @Test func whatIsMissingIsNamed() throws {
        let whole = try metadata(of: "golden/llama/llm/tokenizer.json", pre: "smollm")
        func reason(_ change: (inout Metadata) -> Void) -> String {
            var metadata = whole
            change(&metadata)
            do {
                _ = try openTokenizer(metadata: metadata)
                return "no error"
            } catch {
                return "\(error)"
            }
        }
        #expect(reason { _ in } == "no error")
        #expect(reason { $0.values["merges"] = nil }.contains("tokenizer.ggml.merges: expected"))
        #expect(reason { $0.values["tokens"] = nil }.contains("tokenizer.ggml.tokens: expected"))
        #expect(reason { $0.values["pre"] = "viking" }.contains("tokenizer.ggml.pre to be"))
        #expect(reason { $0.values["model"] = "bert" }.contains("tokenizer.ggml.model to be"))
        #expect(
            reason { $0.values["token_type"] = [1, 2] }.contains("each of 1100 tokens, found 2"))
        #expect(reason { $0.values["bos_token_id"] = 1_100 }.contains("below 1100, found 1100"))
        #expect(reason { $0.values["merges"] = ["a b c"] }.contains("merge 0 to hold two parts"))
        #expect(reason { $0.values["model"] = "llama" }.contains("tokenizer.ggml.scores"))
    }
}
