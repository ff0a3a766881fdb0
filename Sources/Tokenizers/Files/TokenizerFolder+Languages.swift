/// Folders of models that translate or summarize, with a SentencePiece model and no tokenizer.json.
/// The ids of its pieces are moved, and control tokens stand before or behind them.
extension TokenizerFolder {
    /// M2M100: vocab.json numbers the pieces, and a token for each language follows.
    ///
    /// Source: huggingface/transformers, models/m2m_100/tokenization_m2m_100.py.
    func m2m100(_ spiece: String, _ list: String) throws -> ComposedTokenizer.Parts {
        let configuration = try configuration
        let model = try SentencePieceModel(path: spiece)
        let (spelling, vocabulary) = try numbered(list)
        try expectPieces(of: model, spiece, vocabulary, in: list)
        var special = try ["<s>", "<pad>", "</s>", "<unk>"].map { name in
            AddedToken(
                id: try id(name, vocabulary, in: list), content: name, isSpecial: true)
        }
        special += try languages(
            from: spelling.count,
            otherwise: configuration?["language_codes"]?.text == "wmt21"
                ? Self.wmt21Languages : Self.m2m100Languages)
        return try moved(
            model, spelling: spelling, vocabulary: vocabulary, special: special,
            language: "__" + (configuration?["src_lang"]?.text ?? "en") + "__", isAtEnd: false)
    }

    /// The languages of M2M100, in the order of their ids.
    private static let m2m100Languages =
        "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu "
        + "ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr "
        + "ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr "
        + "uk ur uz vi wo xh yi yo zh zu"
    private static let wmt21Languages = "en ha is ja cs ru zh de"

    /// mBART and NLLB: fairseq's control tokens first, then the pieces, then the languages.
    ///
    /// Source: huggingface/transformers 4.57, models/mbart/tokenization_mbart.py,
    /// models/mbart50/tokenization_mbart50.py, models/nllb/tokenization_nllb.py.
    func fairseq(_ spiece: String) throws -> ComposedTokenizer.Parts {
        let configuration = try configuration
        let model = try SentencePieceModel(path: spiece)
        let controls = ["<s>", "<pad>", "</s>", "<unk>"]
        // The model's own three control pieces, at 0 to 2, are passed over.
        let spelling: [String?] = controls + model.spelling.dropFirst(3)
        var special = controls.enumerated().map {
            AddedToken(id: Int32($0.offset), content: $0.element, isSpecial: true)
        }
        let languages = try languages(from: spelling.count)
        special += languages
        let kind = configuration?["tokenizer_class"]?.text ?? ""
        if !languages.contains(where: { $0.content == "<mask>" }) {
            special.append(
                AddedToken(
                    id: Int32(spelling.count + languages.count), content: "<mask>", isSpecial: true,
                    stripsLeft: true))
        }
        let isOld =
            kind.hasPrefix("MBartT")
            || kind.hasPrefix("Nllb")
                && configuration?["legacy_behaviour"]?.flag == true
        return try moved(
            model, spelling: spelling, vocabulary: Self.table(spelling), special: special,
            language: configuration?["src_lang"]?.text
                ?? (kind.hasPrefix("Nllb") ? "eng_Latn" : "en_XX"), isAtEnd: isOld)
    }

    /// PEGASUS: 103 control tokens in front of the pieces.
    ///
    /// Source: huggingface/transformers 4.57, models/pegasus/tokenization_pegasus.py.
    func pegasus(_ spiece: String) throws -> ComposedTokenizer.Parts {
        let model = try SentencePieceModel(path: spiece)
        let controls = ["<pad>", "</s>", "<mask_1>", "<mask_2>"] + (2...102).map { "<unk_\($0)>" }
        // The model's own <pad> and </s> are passed over.
        let spelling: [String?] = controls + model.spelling.dropFirst(2)
        var special = controls.enumerated().map {
            AddedToken(id: Int32($0.offset), content: $0.element, isSpecial: true)
        }
        special.append(
            AddedToken(
                id: Int32(controls.count), content: model.spelling[Int(model.unknownID)],
                isSpecial: true))
        return try moved(
            model, spelling: spelling, vocabulary: Self.table(spelling), special: special,
            language: nil, isAtEnd: false)
    }

    /// Whether the folder's spiece.model is that of a PEGASUS.
    var isPegasus: Bool {
        get throws {
            if let kind = try configuration?["tokenizer_class"]?.text {
                return kind.hasPrefix("Pegasus")
            }
            let model = try file("config.json").map { try JSONTree(file: $0) }
            return model?["model_type"]?.text == "pegasus"
        }
    }

    private static func table(_ spelling: [String?]) -> PieceTable {
        var table = PieceTable(capacity: spelling.count)
        for (id, piece) in spelling.enumerated() {
            guard let piece else { continue }
            _ = table.insert(Array(piece.utf8)[...], id: Int32(id))
        }
        return table
    }

    private func moved(
        _ model: SentencePieceModel, spelling: [String?], vocabulary: PieceTable,
        special: [AddedToken], language: String?, isAtEnd: Bool
    ) throws -> ComposedTokenizer.Parts {
        func id(_ name: String) throws -> Int32 {
            guard let token = special.first(where: { $0.content == name }) else {
                throw TokenizerError(
                    path: path,
                    problem: .malformed(
                        "expected a token for the language \(name.prefix(20)), found none among "
                            + "those that special_tokens_map.json or tokenizer_config.json list"))
            }
            return token.id
        }
        let (end, unknown) = (try id("</s>"), try id("<unk>"))
        let source = try language.map { [try id($0)] } ?? []
        var spelling = spelling
        for token in special {
            while spelling.count <= Int(token.id) { spelling.append(nil) }
            spelling[Int(token.id)] = token.content
        }
        return ComposedTokenizer.Parts(
            model: .numberedPieces(model, vocabulary: vocabulary, unknownID: unknown),
            added: special, opening: isAtEnd ? [] : source,
            closing: [end] + (isAtEnd ? source : []),
            output: OutputText(
                rule: .trimmed, spelling: spelling, special: special.map(\.id), joinsBytes: true),
            spelling: spelling, kind: "SentencePiece with ids of its own")
    }

    /// The tokens of the languages. They have the ids that tokenizer_config.json or
    /// added_tokens.json gives them, or else the order of the additional special tokens.
    ///
    /// - Parameters:
    ///   - first: the smallest id of a language.
    ///   - codes: the languages of a family whose files list none, in the order of their ids.
    private func languages(
        from first: Int, otherwise codes: String? = nil
    ) throws -> [AddedToken] {
        let listed = try listedTokens().filter { Int($0.id) >= first && $0.isSpecial }
        if !listed.isEmpty { return listed }
        let map = try file("special_tokens_map.json").map { try JSONTree(file: $0) }
        let field = "additional_special_tokens"
        let listing = try map?[field] ?? configuration?[field]
        let names = listing?.list
        if names?.isEmpty ?? true, let codes {
            return codes.split(separator: " ").enumerated().map { index, code in
                AddedToken(
                    id: Int32(first + index), content: "__\(code)__", isSpecial: true)
            }
        }
        guard let names, !names.isEmpty else {
            throw TokenizerError(
                path: path,
                problem: .malformed(
                    "expected the tokens of the languages in special_tokens_map.json or "
                        + "tokenizer_config.json, found none; copy these files from where the model "
                        + "came from"))
        }
        return names.enumerated().compactMap { index, name in
            (name.text ?? name["content"]?.text).map {
                AddedToken(id: Int32(first + index), content: $0, isSpecial: true)
            }
        }
    }
}
