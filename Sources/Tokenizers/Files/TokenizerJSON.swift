/// Reads a tokenizer.json of the Hugging Face library into steps. A setting that would change ids
/// and is not known here is refused by its name.
struct TokenizerJSON {
    let path: String
    let tree: JSONTree

    /// - Throws: `TokenizerError`.
    init(path: String) throws {
        self.path = path
        tree = try JSONTree(file: path)
    }

    /// - Throws: `TokenizerError`.
    func parts() throws -> ComposedTokenizer.Parts {
        guard let model = tree["model"], model.fields != nil else {
            throw malformed("expected a tokenizer.json with a model, found none")
        }
        let added = try addedTokens()
        let special = Set(added.filter(\.isSpecial).map(\.id))
        let rewriting = try tree["normalizer"].map { try normalizers($0) } ?? []
        let words = try tree["pre_tokenizer"].map { try preTokenizers($0) } ?? Words()
        let type = model["type"]?.text ?? (model["vocab"]?.list == nil ? "BPE" : "Unigram")
        var spelling: [String?]
        let opened: ComposedTokenizer.Model
        switch type {
        case "BPE":
            let file = try bytePairFile(model, isByteLevel: words.isByteLevel, special: special)
            do throws(BytePairFile.Problem) {
                opened = .bytePair(try file.model())
            } catch {
                throw malformed(error.reason)
            }
            spelling = [String?](repeating: nil, count: 1 + (file.entries.map(\.id).max() ?? -1))
            for (piece, id) in file.entries { spelling[id] = piece }
        case "Unigram":
            let vocabulary = try unigramVocabulary(model)
            spelling = vocabulary.map(\.piece)
            opened = .unigram(try unigram(model, vocabulary, special: special))
        default: throw unsupported("model.type", "BPE or Unigram", type)
        }
        try spell(added, in: &spelling)
        let around = try tree["post_processor"].map { try ends($0) } ?? Ends()
        return ComposedTokenizer.Parts(
            model: opened, added: added, normalizers: rewriting, preTokenizers: words.steps,
            opening: around.opening, closing: around.closing,
            output: try output(spelling, added: added, isByteLevel: words.isByteLevel),
            spelling: spelling,
            kind: words.isByteLevel
                ? "byte-level BPE" : type == "BPE" ? "BPE with byte fallback" : "Unigram")
    }

    func malformed(_ reason: String) -> TokenizerError {
        TokenizerError(path: path, problem: .malformed(reason))
    }

    func unsupported(_ field: String, _ expected: String, _ found: String) -> TokenizerError {
        TokenizerError(
            path: path, problem: .unsupported(field: field, expected: expected, found: found))
    }

    /// Puts added tokens at the ids that they name.
    private func spell(_ added: [AddedToken], in spelling: inout [String?]) throws {
        for token in added {
            let id = Int(token.id)
            while spelling.count <= id { spelling.append(nil) }
            if let other = spelling[id], Array(other.utf8) != Array(token.content.utf8) {
                throw malformed(
                    "expected id \(id) to be one token, found "
                        + "\(String(other.prefix(60)).debugDescription) in the model and "
                        + "\(String(token.content.prefix(60)).debugDescription) in added_tokens")
            }
            spelling[id] = token.content
        }
    }

    private func addedTokens() throws -> [AddedToken] {
        try (tree["added_tokens"]?.list ?? []).map { token in
            guard let content = token["content"]?.text,
                let id = token["id"]?.whole, (0...BytePairFile.largestID).contains(id)
            else {
                throw malformed(
                    "expected every token of added_tokens to have a content and an id from 0 to "
                        + "\(BytePairFile.largestID)")
            }
            return AddedToken(id: Int32(id), content: content, fields: token)
        }
    }

    // MARK: Models

    private func bytePairFile(
        _ model: JSONTree, isByteLevel: Bool, special: Set<Int32>
    ) throws -> BytePairFile {
        if let dropout = model["dropout"]?.number, dropout > 0 {
            throw unsupported("model.dropout", "null", "\(dropout)")
        }
        for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let affix = model[field]?.text, !affix.isEmpty {
                throw unsupported("model.\(field)", "empty", affix)
            }
        }
        guard let vocabulary = model["vocab"]?.fields else {
            throw malformed("expected model.vocab to be an object of ids")
        }
        let entries = try vocabulary.map { entry in
            guard let id = entry.value.whole else {
                throw malformed("expected ids from 0 to \(BytePairFile.largestID)")
            }
            return (piece: entry.name, id: id)
        }
        guard let merges = model["merges"]?.list else {
            throw malformed("expected model.merges to be a list of pairs, found none")
        }
        return BytePairFile(
            entries: entries,
            merges: try merges.enumerated().map { index, merge in
                guard let pair = Self.pair(merge) else {
                    throw malformed("expected model.merges[\(index)] to hold two parts")
                }
                return pair
            },
            isByteLevel: isByteLevel, unknown: model["unk_token"]?.text,
            fusesUnknown: model["fuse_unk"]?.flag ?? false,
            hasByteFallback: model["byte_fallback"]?.flag ?? false,
            ignoresMerges: model["ignore_merges"]?.flag ?? false, special: special)
    }

    /// A merge is "left right" in old files and ["left", "right"] in new ones.
    private static func pair(_ merge: JSONTree) -> (left: String, right: String)? {
        if let line = merge.text { return mergePair(line) }
        guard let parts = merge.list, parts.count == 2, let left = parts[0].text,
            let right = parts[1].text
        else { return nil }
        return (left, right)
    }

    private func unigramVocabulary(
        _ model: JSONTree
    ) throws -> [(piece: String, score: Double)] {
        guard let vocabulary = model["vocab"]?.list, !vocabulary.isEmpty,
            vocabulary.count <= BytePairFile.largestID
        else {
            throw malformed("expected model.vocab to be a list of pieces and scores")
        }
        return try vocabulary.enumerated().map { index, entry in
            guard let pair = entry.list, pair.count == 2, let piece = pair[0].text,
                let score = pair[1].number
            else {
                throw malformed("expected model.vocab[\(index)] to be a piece and its score")
            }
            guard piece.utf8.count <= PieceTable.longestPiece else {
                throw malformed(
                    "expected model.vocab[\(index)] to be a piece of at most "
                        + "\(PieceTable.longestPiece) bytes, found one of \(piece.utf8.count)")
            }
            return (piece, score)
        }
    }

    private func unigram(
        _ model: JSONTree, _ vocabulary: [(piece: String, score: Double)], special: Set<Int32>
    ) throws -> UnigramModel {
        let unknown = model["unk_id"]?.whole
        if let unknown, !vocabulary.indices.contains(unknown) {
            throw malformed("expected model.unk_id to be below \(vocabulary.count), got \(unknown)")
        }
        return UnigramModel(
            vocabulary, unknownID: unknown.map { Int32($0) },
            hasByteFallback: model["byte_fallback"]?.flag ?? false, special: special)
    }
}

extension AddedToken {
    /// - Parameter fields: the token's settings, as tokenizer.json and tokenizer_config.json spell
    ///   them.
    init(id: Int32, content: String, fields: JSONTree) {
        let isSpecial = fields["special"]?.flag ?? false
        self.init(
            id: id, content: content, isSpecial: isSpecial,
            stripsLeft: fields["lstrip"]?.flag ?? false,
            stripsRight: fields["rstrip"]?.flag ?? false,
            isSingleWord: fields["single_word"]?.flag ?? false,
            isNormalized: fields["normalized"]?.flag ?? !isSpecial)
    }
}

extension UnigramModel {
    /// - Parameter special: ids that no text becomes.
    init(
        _ vocabulary: [(piece: String, score: Double)], unknownID: Int32?, hasByteFallback: Bool,
        special: Set<Int32>
    ) {
        var pieces = PieceTable(capacity: vocabulary.count)
        var ids: [String: Int32] = [:]
        for (index, entry) in vocabulary.enumerated() {
            let id = Int32(index)
            if hasByteFallback, entry.piece.hasPrefix("<0x") { ids[entry.piece] = id }
            guard id != unknownID, !special.contains(id) else { continue }
            // A piece that is listed twice keeps its first place.
            _ = pieces.insert(Array(entry.piece.utf8)[...], id: id)
        }
        self.init(
            pieces: pieces, scores: vocabulary.map(\.score), unknownID: unknownID,
            idOfByte: byteFallbackIDs { ids[$0] })
    }
}

/// The two sides of a line of merges.txt; nil for a line without two sides.
func mergePair(_ line: some StringProtocol) -> (left: String, right: String)? {
    let parts = line.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    return (String(String.UnicodeScalarView(parts[0])), String(String.UnicodeScalarView(parts[1])))
}
