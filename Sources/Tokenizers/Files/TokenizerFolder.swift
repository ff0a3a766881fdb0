import Checkpoints

/// Opens the tokenizer of a model folder, or of a GGUF file, whichever of the known kinds it is.
///
/// - Throws: `TokenizerError`; `CheckpointError` for a GGUF file that is damaged.
package func openTokenizer(folder: String) throws -> any Tokenizer {
    try TokenizerFolder(path: folder).open()
}

/// The files of a tokenizer.
struct TokenizerFolder {
    let path: String

    private static let known = [
        "tokenizer.json", "spiece.model", "vocab.json with merges.txt",
        "source.spm with target.spm and vocab.json", "sentencepiece.bpe.model",
        "a GGUF file",
    ]

    func file(_ name: String) -> String? {
        let file = path + "/" + name
        return fileExists(file) ? file : nil
    }

    func open() throws -> ComposedTokenizer {
        let spiece = file("spiece.model")
        if let json = file("tokenizer.json") {
            do {
                let parts = try added(to: try TokenizerJSON(path: json).parts())
                if let spiece { try expectSamePieces(parts, in: spiece) }
                return ComposedTokenizer(parts)
            } catch let error as TokenizerError {
                // tokenizer.json was made from spiece.model, which can be read in its place.
                guard case .unsupported = error.problem, spiece != nil else { throw error }
            }
        }
        if let spiece {
            return ComposedTokenizer(
                try isPegasus ? pegasus(spiece) : sentencePiece(spiece))
        }
        if let spiece = file("sentencepiece.bpe.model") {
            return ComposedTokenizer(
                try file("vocab.json").map { try m2m100(spiece, $0) } ?? fairseq(spiece))
        }
        if let vocabulary = file("vocab.json"), let merges = file("merges.txt") {
            return ComposedTokenizer(
                try added(to: bytePair(vocabulary: vocabulary, merges: merges)))
        }
        if let source = file("source.spm") { return ComposedTokenizer(try marian(source)) }
        if let gguf = try GGUFFile.find(at: path) {
            return ComposedTokenizer(
                try GGUFVocabulary(metadata: GGUFFile(path: gguf).metadata).parts())
        }
        throw TokenizerError(path: path, problem: .noneOf(files: Self.known))
    }

    // MARK: SentencePiece

    func sentencePiece(
        _ file: String, chunkBytes: Int = 65_536
    ) throws -> ComposedTokenizer.Parts {
        let model = try SentencePieceModel(path: file, chunkBytes: chunkBytes)
        let spelling = model.spelling
        return try added(
            to: ComposedTokenizer.Parts(
                model: .sentencePiece(model), added: Self.controls(model, spelling),
                closing: [model.endID],
                output: OutputText(
                    rule: .words, textOfID: [[UInt8]?](repeating: nil, count: spelling.count)),
                spelling: spelling, kind: "SentencePiece"))
    }

    /// The special tokens that a prompt may spell: the model's control pieces, and T5's sentinels
    /// behind the pieces, where the last sentinel has the smallest id.
    private static func controls(_ model: SentencePieceModel, _ spelling: [String]) -> [AddedToken]
    {
        var controls = spelling.indices.filter { !model.isText[$0] }
            .map { AddedToken(id: Int32($0), content: spelling[$0], isSpecial: true) }
        if !spelling.contains("<extra_id_0>") {
            controls += (0..<100).map {
                AddedToken(
                    id: Int32(spelling.count + 99 - $0), content: "<extra_id_\($0)>",
                    isSpecial: true)
            }
        }
        return controls
    }

    /// Checks that two descriptions of a vocabulary in one folder agree: the pieces of spiece.model
    /// have the same ids in `parts`, or ids that are all moved by the same number.
    private func expectSamePieces(_ parts: ComposedTokenizer.Parts, in spiece: String) throws {
        let pieces = try SentencePieceModel(path: spiece).spelling
        guard let last = pieces.last,
            let place = parts.spelling.lastIndex(where: { $0 == last })
        else { throw disagreement(spiece, piece: pieces.last ?? "") }
        let offset = place - (pieces.count - 1)
        // The first pieces are control tokens, which each side may name in its own way.
        let differs = pieces.indices.dropFirst(4).first { index in
            let id = index + offset
            guard parts.spelling.indices.contains(id), let other = parts.spelling[id] else {
                return true
            }
            return Array(other.utf8) != Array(pieces[index].utf8)
        }
        if let differs { throw disagreement(spiece, piece: pieces[differs]) }
    }

    private func disagreement(_ spiece: String, piece: String) -> TokenizerError {
        TokenizerError(
            path: path + "/tokenizer.json",
            problem: .malformed(
                "expected the pieces of \(spiece), of which it has no "
                    + "\(String(piece.prefix(60)).debugDescription) at its place; take both files "
                    + "from one model, or remove the one that does not belong to it"))
    }

    // MARK: Byte-level BPE

    private func bytePair(
        vocabulary: String, merges: String
    ) throws -> ComposedTokenizer.Parts {
        func malformed(_ path: String, _ reason: String) -> TokenizerError {
            TokenizerError(path: path, problem: .malformed(reason))
        }
        let fields = try JSONTree(file: vocabulary).fields
        guard let fields else { throw malformed(vocabulary, "expected a JSON object of ids") }
        let entries = try fields.map { entry in
            guard let id = entry.value.whole else {
                throw malformed(
                    vocabulary, "expected ids from 0 to \(BytePairFile.largestID)")
            }
            return (piece: entry.name, id: id)
        }
        var pairs: [(left: String, right: String)] = []
        let text = String(decoding: try readTokenizerBytes(merges), as: UTF8.self)
        let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let line = String(line.last == "\r" ? line.dropLast() : line)
            if line.isEmpty || line.hasPrefix("#version") { continue }
            guard let pair = mergePair(line) else {
                throw malformed(
                    merges, "line \(index + 1): expected two parts and one space")
            }
            pairs.append(pair)
        }
        let file = BytePairFile(entries: entries, merges: pairs)
        let isRoberta = try isRoberta(entries.map(\.piece))
        do throws(BytePairFile.Problem) {
            return try Self.parts(file, isRoberta: isRoberta)
        } catch {
            throw malformed(vocabulary, error.reason)
        }
    }

    /// Entries that are neither a byte nor made by a merge cannot come from text. They are special
    /// tokens, like <|endoftext|>, and stand for no text.
    private static func parts(
        _ file: BytePairFile, isRoberta: Bool
    ) throws(BytePairFile.Problem) -> ComposedTokenizer.Parts {
        let model = try file.model()
        var producible = Set(ByteAlphabet.scalarOfByte.map { String($0) })
        for merge in file.merges { producible.insert(merge.left + merge.right) }
        var spelling = [String?](repeating: nil, count: 1 + (file.entries.map(\.id).max() ?? -1))
        for (piece, id) in file.entries { spelling[id] = piece }
        let special = file.entries.filter { !producible.contains($0.piece) }
            .map { AddedToken(id: Int32($0.id), content: $0.piece, isSpecial: true) }
        func ids(_ name: String) -> [Int32] {
            isRoberta ? special.filter { $0.content == name }.map(\.id) : []
        }
        return ComposedTokenizer.Parts(
            model: .bytePair(model), added: special, preTokenizers: [.words(.gpt2)],
            opening: ids("<s>"), closing: ids("</s>"),
            output: OutputText(
                rule: .bytes, spelling: spelling, special: special.map(\.id), joinsBytes: false),
            spelling: spelling, kind: "byte-level BPE")
    }

    /// Whether texts get `<s>` and `</s>`: RoBERTa's, BART's and CodeT5's do, GPT-2's do not.
    private func isRoberta(_ pieces: [String]) throws -> Bool {
        if let named = try configuration?["tokenizer_class"]?.text {
            return ["Roberta", "Bart", "LED", "Longformer", "CodeT5"].contains {
                named.hasPrefix($0)
            }
        }
        return pieces.contains("<s>") && pieces.contains("</s>")
    }

    /// Nil where there is none.
    var configuration: JSONTree? {
        get throws { try file("tokenizer_config.json").map { try JSONTree(file: $0) } }
    }

    // MARK: Added tokens

    /// Adds the tokens that only tokenizer_config.json or added_tokens.json list.
    func added(to parts: ComposedTokenizer.Parts) throws -> ComposedTokenizer.Parts {
        var parts = parts
        var known = Set(parts.added.map { Array($0.content.utf8) })
        for token in try listedTokens() where known.insert(Array(token.content.utf8)).inserted {
            let id = Int(token.id)
            if parts.spelling.indices.contains(id), let other = parts.spelling[id],
                Array(other.utf8) != Array(token.content.utf8)
            {
                throw TokenizerError(
                    path: path,
                    problem: .malformed(
                        "expected id \(id) to be one token, found "
                            + "\(String(other.prefix(60)).debugDescription) in the vocabulary and "
                            + "\(String(token.content.prefix(60)).debugDescription) among the "
                            + "added tokens; take all files from one model"))
            }
            while parts.spelling.count <= id { parts.spelling.append(nil) }
            while parts.output.textOfID.count <= id { parts.output.textOfID.append(nil) }
            parts.spelling[id] = token.content
            parts.output.textOfID[id] = token.isSpecial ? nil : Array(token.content.utf8)
            parts.added.append(token)
        }
        return parts
    }

    func listedTokens() throws -> [AddedToken] {
        func checked(_ id: Int?, _ content: String?, in file: String) throws -> (Int32, String) {
            guard let id, (0...BytePairFile.largestID).contains(id), let content, !content.isEmpty
            else {
                throw TokenizerError(
                    path: file,
                    problem: .malformed(
                        "expected every added token to have a text and an id from 0 to "
                            + "\(BytePairFile.largestID)"))
            }
            return (Int32(id), content)
        }
        var tokens: [AddedToken] = []
        if let file = file("tokenizer_config.json") {
            for entry in try JSONTree(file: file)["added_tokens_decoder"]?.fields ?? [] {
                let (id, content) = try checked(
                    Int(entry.name), entry.value["content"]?.text, in: file)
                tokens.append(AddedToken(id: id, content: content, fields: entry.value))
            }
        }
        if let file = file("added_tokens.json") {
            let special = try specialTokens()
            for entry in try JSONTree(file: file).fields ?? [] {
                let (id, content) = try checked(entry.value.whole, entry.name, in: file)
                tokens.append(
                    AddedToken(
                        id: id, content: content, isSpecial: special.contains(content)))
            }
        }
        return tokens
    }

    private func specialTokens() throws -> Set<String> {
        guard let file = file("special_tokens_map.json") else { return [] }
        let values = try JSONTree(file: file).fields?.flatMap { $0.value.list ?? [$0.value] } ?? []
        return Set(values.compactMap { $0.text ?? $0["content"]?.text })
    }
}
