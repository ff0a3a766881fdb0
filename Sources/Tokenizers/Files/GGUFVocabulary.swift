package import Checkpoints

/// What a GGUF file says of its tokenizer, by the keys of its metadata. The functions return nil
/// for a key that the file does not have, and throw for a value of another type.
package protocol VocabularyMetadata {
    /// The path of the file, for messages.
    var path: String { get }
    func whole(_ key: String) throws -> Int?
    func flag(_ key: String) throws -> Bool?
    func text(_ key: String) throws -> String?
    func texts(_ key: String) throws -> [String]?
    func wholes(_ key: String) throws -> [Int]?
    func numbers(_ key: String) throws -> [Float]?
}

extension GGUFMetadata: VocabularyMetadata {}

/// Opens the tokenizer inside a GGUF file.
///
/// - Throws: `TokenizerError`, and what `metadata` throws for values of other types.
package func openTokenizer(metadata: any VocabularyMetadata) throws -> any Tokenizer {
    ComposedTokenizer(try GGUFVocabulary(metadata: metadata).parts())
}

/// The vocabulary of a GGUF file, read as llama.cpp reads it.
///
/// Source: ggml-org/llama.cpp, llama-vocab.cpp; ggml-org/ggml, docs/gguf.md.
struct GGUFVocabulary {
    let metadata: any VocabularyMetadata

    /// What a token is, as `tokenizer.ggml.token_type` numbers it.
    private enum Kind: Int { case normal = 1, unknown, control, userDefined, unused, byte }

    /// The tokens, and what the file says of each.
    private struct Table {
        var tokens: [String]
        var kinds: [Kind]
        var scores: [Float]
        var special: Set<Int32>
        var added: [AddedToken]
    }

    private func key(_ name: String) -> String { "tokenizer.ggml." + name }

    private func malformed(_ name: String, _ reason: String) -> TokenizerError {
        TokenizerError(path: metadata.path, problem: .malformed("\(key(name)): \(reason)"))
    }

    func parts() throws -> ComposedTokenizer.Parts {
        let model = try metadata.text(key("model")) ?? "none"
        switch model {
        case "gpt2": return try byteLevel()
        case "llama": return try scored()
        case "t5": return try unigram()
        default:
            throw TokenizerError(
                path: metadata.path,
                problem: .unsupported(
                    field: key("model"), expected: "gpt2, llama or t5", found: model))
        }
    }

    private func table(needsScores: Bool) throws -> Table {
        guard let tokens = try metadata.texts(key("tokens")), !tokens.isEmpty,
            tokens.count <= BytePairFile.largestID
        else { throw malformed("tokens", "expected a list of tokens, found none") }
        func perToken<Value>(_ name: String, _ values: [Value]?, _ absent: Value) throws -> [Value]
        {
            guard let values else { return [Value](repeating: absent, count: tokens.count) }
            guard values.count == tokens.count else {
                throw malformed(
                    name,
                    "expected a value for each of \(tokens.count) tokens, found "
                        + "\(values.count)")
            }
            return values
        }
        let kinds = try perToken(
            "token_type", try metadata.wholes(key("token_type")), Kind.normal.rawValue
        ).map { Kind(rawValue: $0) ?? .normal }
        let scores = try metadata.numbers(key("scores"))
        if needsScores {
            guard scores != nil else {
                throw malformed("scores", "expected a list of scores, found none")
            }
            let longest = tokens.map(\.utf8.count).max() ?? 0
            guard longest <= PieceTable.longestPiece else {
                throw malformed(
                    "tokens",
                    "expected tokens of at most \(PieceTable.longestPiece) bytes, found one of "
                        + "\(longest)")
            }
        }
        var special = Set<Int32>()
        let isTyped = try metadata.wholes(key("token_type")) != nil
        for name in ["bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id"] {
            let id = try token(name, below: tokens.count)
            if !isTyped, let id { special.insert(id) }
        }
        var added: [AddedToken] = []
        for (index, kind) in kinds.enumerated() {
            let id = Int32(index)
            if kind == .control || kind == .unknown { special.insert(id) }
            if special.contains(id) || kind == .userDefined, !tokens[index].isEmpty {
                added.append(
                    AddedToken(id: id, content: tokens[index], isSpecial: special.contains(id)))
            }
        }
        return Table(
            tokens: tokens, kinds: kinds, scores: try perToken("scores", scores, 0),
            special: special, added: added)
    }

    private func token(_ name: String, below count: Int) throws -> Int32? {
        // The largest number stands for no such token in some files.
        guard let id = try metadata.whole(key(name)), id != Int(UInt32.max), id >= 0 else {
            return nil
        }
        guard id < count else {
            throw malformed(name, "expected a token below \(count), found \(id)")
        }
        return Int32(id)
    }

    private func ends(
        _ table: Table, opens: Bool, closes: Bool
    ) throws -> (opening: [Int32], closing: [Int32]) {
        func tokens(_ flag: String, _ absent: Bool, _ name: String) throws -> [Int32] {
            guard try metadata.flag(key(flag)) ?? absent else { return [] }
            return try token(name, below: table.tokens.count).map { [$0] } ?? []
        }
        return (
            try tokens("add_bos_token", opens, "bos_token_id"),
            try tokens("add_eos_token", closes, "eos_token_id")
        )
    }

    // MARK: gpt2

    private func byteLevel() throws -> ComposedTokenizer.Parts {
        let listed = try table(needsScores: false)
        guard let lines = try metadata.texts(key("merges")) else {
            throw malformed(
                "merges",
                "expected the merges of a byte-level BPE, found none; convert the model again with "
                    + "a newer llama.cpp, or take the tokenizer.json of the model's own folder")
        }
        let (steps, ignoresMerges, opens) = try preTokenizers()
        var file = BytePairFile(
            entries: listed.tokens.enumerated().map { ($0.element, $0.offset) },
            merges: try lines.enumerated().map { index, line in
                guard let pair = mergePair(line) else {
                    throw malformed("merges", "expected merge \(index) to hold two parts")
                }
                return pair
            })
        let apart = Set(listed.added.map { Int($0.id) })
        file.entries.removeAll { apart.contains($0.id) || $0.piece.isEmpty }
        file.ignoresMerges = ignoresMerges
        let model: BytePairModel
        do throws(BytePairFile.Problem) {
            model = try file.model()
        } catch {
            throw malformed("tokens", error.reason)
        }
        let around = try ends(listed, opens: opens, closes: false)
        return ComposedTokenizer.Parts(
            model: .bytePair(model), added: listed.added, preTokenizers: steps,
            opening: around.opening, closing: around.closing,
            output: OutputText(
                rule: .bytes, spelling: listed.tokens, special: Array(listed.special),
                joinsBytes: false),
            spelling: listed.tokens, kind: "byte-level BPE")
    }

    /// The steps that `tokenizer.ggml.pre` names. The name also says whether whole pieces ignore
    /// merges, and whether texts get an opening token where the file does not say so.
    private func preTokenizers() throws -> (
        steps: [PreTokenizer], ignoresMerges: Bool, opens: Bool
    ) {
        let name = try metadata.text(key("pre")) ?? "default"
        switch name {
        case "default":
            return (
                [.punctuation, .words(.gpt2), .digits(single: false), .threeDigits], false, false
            )
        case "gpt-2", "phi-2": return ([.words(.gpt2)], false, false)
        case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone":
            return ([.digits(single: true), .words(.gpt2)], false, false)
        case "llama-bpe", "llama3", "llama-v3": return ([.words(.llama3)], true, true)
        case "dbrx", "smaug-bpe": return ([.words(.llama3)], false, false)
        case "qwen2", "stablelm2", "deepseek-r1-qwen", "megrez":
            return ([.words(.qwen2)], false, false)
        default:
            throw TokenizerError(
                path: metadata.path,
                problem: .unsupported(
                    field: key("pre"),
                    expected: "default, gpt-2, smollm, llama-bpe, qwen2 or one of their kin",
                    found: name))
        }
    }

    // MARK: llama

    private func scored() throws -> ComposedTokenizer.Parts {
        let listed = try table(needsScores: true)
        let addsBlank = try metadata.flag(key("add_space_prefix")) ?? true
        let mark = Array("\u{2581}".utf8)
        var pieces = PieceTable(capacity: listed.tokens.count)
        var idOfByte: [String: Int32] = [:]
        for (index, token) in listed.tokens.enumerated() {
            let id = Int32(index)
            if listed.kinds[index] == .byte { idOfByte[token] = id }
            guard listed.kinds[index] == .normal, !listed.special.contains(id) else { continue }
            _ = pieces.insert(Array(token.utf8)[...], id: id)
        }
        let model = BytePairModel(
            pieces: pieces, merges: Self.merges(of: pieces, scores: listed.scores),
            isByteLevel: false, idOfByte: byteFallbackIDs { idOfByte[$0] },
            unknownID: try token("unknown_token_id", below: listed.tokens.count),
            fusesUnknown: true)
        let around = try ends(listed, opens: true, closes: false)
        return ComposedTokenizer.Parts(
            model: .bytePair(model), added: listed.added,
            normalizers: (addsBlank ? [.prepend(mark)] : [])
                + [.replace([UInt8(ascii: " ")], with: mark)],
            opening: around.opening, closing: around.closing,
            output: OutputText(
                rule: .pieces(stripped: addsBlank ? 1 : 0), spelling: listed.tokens,
                special: Array(listed.special), joinsBytes: true),
            spelling: listed.tokens, kind: "BPE with byte fallback")
    }

    /// Two neighbours merge where together they spell a piece. The piece with the highest score
    /// comes first.
    private static func merges(of pieces: PieceTable, scores: [Float]) -> MergeTable {
        let ordered = Set(scores).sorted(by: >)
        let ranks = Dictionary(
            uniqueKeysWithValues: zip(ordered, ordered.indices.map { Int32($0) }))
        var table = MergeTable(capacity: 2 * pieces.count)
        for id in pieces.places.indices.map({ Int32($0) }) {
            guard let piece = pieces[id], let rank = ranks[scores[Int(id)]] else { continue }
            for cut in piece.indices.dropFirst() where piece[cut] & 0xC0 != 0x80 {
                guard let left = pieces.id(of: piece[..<cut]),
                    let right = pieces.id(of: piece[cut...])
                else { continue }
                table[left, right] = .init(rank: rank, result: id)
            }
        }
        return table
    }

    // MARK: t5

    private func unigram() throws -> ComposedTokenizer.Parts {
        let listed = try table(needsScores: true)
        let removesBlanks = try metadata.flag(key("remove_extra_whitespaces")) ?? false
        let addsBlank = try metadata.flag(key("add_space_prefix")) ?? true
        var normalizers: [Normalizer] = []
        if let map = try metadata.wholes(key("precompiled_charsmap")), !map.isEmpty {
            guard
                let rules = PrecompiledRules(
                    map.map { UInt8(truncatingIfNeeded: $0) }, takesGraphemes: false)
            else {
                throw malformed(
                    "precompiled_charsmap",
                    "expected tables of SentencePiece, found other or damaged data")
            }
            normalizers.append(.precompiled(rules))
        }
        if removesBlanks {
            normalizers += [
                .trimBlanks, .replaceBlankRuns([UInt8(ascii: " ")]),
            ]
        }
        let vocabulary = zip(listed.tokens, listed.scores).map { (piece: $0, score: Double($1)) }
        let apart = Set(
            listed.kinds.indices.filter { listed.kinds[$0] != .normal }.map { Int32($0) })
        let model = UnigramModel(
            vocabulary, unknownID: try token("unknown_token_id", below: listed.tokens.count),
            hasByteFallback: listed.kinds.contains(.byte), special: apart.union(listed.special))
        let around = try ends(listed, opens: false, closes: true)
        return ComposedTokenizer.Parts(
            model: .unigram(model), added: listed.added, normalizers: normalizers,
            preTokenizers: [
                .metaspace(
                    mark: Array("\u{2581}".utf8), front: addsBlank ? .always : .never,
                    splits: false)
            ],
            opening: around.opening, closing: around.closing,
            output: OutputText(
                rule: addsBlank ? .words : .pieces(stripped: 0), spelling: listed.tokens,
                special: Array(listed.special), joinsBytes: listed.kinds.contains(.byte)),
            spelling: listed.tokens, kind: "Unigram")
    }
}
