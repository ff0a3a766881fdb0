import FoundationEssentials

extension ByteLevelTokenizer {
    /// Opens a vocab.json and its merges.txt.
    ///
    /// - Throws: `TokenizerError`.
    package init(vocabulary: String, merges: String) throws {
        let ids: [String: Int]
        do {
            ids = try JSONDecoder().decode([String: Int].self, from: readTokenizerFile(vocabulary))
        } catch is DecodingError {
            throw TokenizerError(
                path: vocabulary, problem: .malformed("expected a JSON object of ids"))
        }
        let text = String(decoding: try readTokenizerFile(merges), as: UTF8.self)
        var pairs: [(left: String, right: String)] = []
        let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let line = String(line.last == "\r" ? line.dropLast() : line)
            if line.isEmpty || line.hasPrefix("#version") { continue }
            guard let pair = Self.pair(line) else {
                throw TokenizerError(
                    path: merges,
                    problem: .malformed("line \(index + 1): expected two parts and one space"))
            }
            pairs.append(pair)
        }
        try self.init(BytePairRules(idOfEntry: ids, merges: pairs), path: vocabulary)
    }

    /// Opens a tokenizer.json that holds a byte-level BPE without further rules.
    ///
    /// - Throws: `TokenizerError`, `.unsupported` for every setting that would change ids.
    package init(tokenizerJSON path: String) throws {
        let file: TokenizerJSON
        do {
            file = try JSONDecoder().decode(TokenizerJSON.self, from: readTokenizerFile(path))
        } catch is DecodingError {
            throw TokenizerError(
                path: path,
                problem: .malformed(
                    "expected a tokenizer.json with a BPE model; a SentencePiece model needs "
                        + "its spiece.model beside it"))
        }
        if let difference = file.difference {
            throw TokenizerError(path: path, problem: difference)
        }
        var rules = BytePairRules(
            idOfEntry: file.model.vocab, merges: file.model.merges.map { ($0.left, $0.right) })
        rules.addsSpaceInFront = file.pre_tokenizer?.add_prefix_space ?? false
        for token in file.added_tokens ?? [] {
            rules.idOfEntry[token.content] = token.id
            rules.specialIDs.insert(token.id)
        }
        try self.init(rules, path: path)
    }

    private init(_ rules: BytePairRules, path: String) throws {
        do throws(BytePairRules.Problem) {
            try self.init(rules)
        } catch {
            throw TokenizerError(path: path, problem: .malformed(error.reason))
        }
    }

    fileprivate static func pair(_ line: String) -> (left: String, right: String)? {
        let parts = line.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        return (String(parts[0]), String(parts[1]))
    }
}

/// What a tokenizer.json of the Hugging Face library says that matters here.
private struct TokenizerJSON: Decodable {
    let model: Model
    let normalizer: Kind?
    let pre_tokenizer: PreTokenizer?
    let added_tokens: [AddedToken]?

    struct Kind: Decodable { let type: String }

    struct AddedToken: Decodable {
        let id: Int
        let content: String
    }

    struct PreTokenizer: Decodable {
        let type: String
        let add_prefix_space: Bool?
        let use_regex: Bool?
    }

    struct Model: Decodable {
        let type: String?
        let vocab: [String: Int]
        let merges: [Merge]
        let continuing_subword_prefix: String?
        let end_of_word_suffix: String?
        let ignore_merges: Bool?
        let byte_fallback: Bool?
    }

    /// "left right" in old files, ["left", "right"] in new ones.
    struct Merge: Decodable {
        let left: String
        let right: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            let parts: [String]
            if let line = try? container.decode(String.self) {
                parts = ByteLevelTokenizer.pair(line).map { [$0.left, $0.right] } ?? []
            } else {
                parts = try container.decode([String].self)
            }
            guard parts.count == 2 else {
                throw DecodingError.dataCorruptedError(
                    in: container, debugDescription: "a merge of \(parts.count) parts")
            }
            (left, right) = (parts[0], parts[1])
        }
    }

    /// The first setting under which ids would come out otherwise than this tokenizer makes them.
    var difference: TokenizerError.Problem? {
        func unsupported(_ field: String, _ expected: String, _ found: String)
            -> TokenizerError.Problem
        {
            .unsupported(field: field, expected: expected, found: found)
        }
        if let type = model.type, type != "BPE" { return unsupported("model.type", "BPE", type) }
        if let normalizer { return unsupported("normalizer", "null", normalizer.type) }
        guard pre_tokenizer?.type == "ByteLevel" else {
            return unsupported("pre_tokenizer", "ByteLevel", pre_tokenizer?.type ?? "null")
        }
        if pre_tokenizer?.use_regex == false {
            return unsupported("pre_tokenizer.use_regex", "true", "false")
        }
        if model.ignore_merges == true {
            return unsupported("model.ignore_merges", "false", "true")
        }
        if model.byte_fallback == true {
            return unsupported("model.byte_fallback", "false", "true")
        }
        if let prefix = model.continuing_subword_prefix, !prefix.isEmpty {
            return unsupported("model.continuing_subword_prefix", "empty", prefix)
        }
        if let suffix = model.end_of_word_suffix, !suffix.isEmpty {
            return unsupported("model.end_of_word_suffix", "empty", suffix)
        }
        return nil
    }
}
