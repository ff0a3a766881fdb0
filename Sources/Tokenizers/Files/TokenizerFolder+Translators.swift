/// Folders of models that translate, where the pieces of a SentencePiece model have ids of their
/// own.
extension TokenizerFolder {
    /// Marian (OPUS-MT): source.spm cuts texts into pieces, and vocab.json numbers the pieces of
    /// both languages.
    ///
    /// Source: huggingface/transformers, models/marian/tokenization_marian.py.
    func marian(_ source: String) throws -> ComposedTokenizer.Parts {
        guard let list = file("vocab.json") else {
            throw TokenizerError(path: path, problem: .noneOf(files: ["vocab.json"]))
        }
        let model = try SentencePieceModel(path: source)
        let (spelling, vocabulary) = try numbered(list)
        try expectPieces(of: model, source, vocabulary, in: list)
        if let target = file("target.spm") {
            try expectPieces(
                of: SentencePieceModel(path: target), target, vocabulary, in: list)
        }
        let unknownID = try id("<unk>", vocabulary, in: list)
        let endID = try id("</s>", vocabulary, in: list)
        let special = ["</s>", "<unk>", "<pad>"].compactMap { name in
            vocabulary.id(of: Array(name.utf8)[...]).map {
                AddedToken(id: $0, content: name, isSpecial: true)
            }
        }
        let tags = spelling.indices.filter {
            spelling[$0].map { $0.hasPrefix(">>") && $0.hasSuffix("<<") } ?? false
        }
        return try added(
            to: ComposedTokenizer.Parts(
                model: .numberedPieces(model, vocabulary: vocabulary, unknownID: unknownID),
                added: special, closing: [endID],
                output: OutputText(
                    rule: .trimmed, spelling: spelling,
                    special: special.map(\.id) + tags.map { Int32($0) }, joinsBytes: true),
                hasLanguageTags: true, spelling: spelling, kind: "SentencePiece with vocab.json"))
    }

    /// Reads a JSON object of pieces and their ids.
    func numbered(
        _ list: String
    ) throws -> (spelling: [String?], vocabulary: PieceTable) {
        func malformed(_ reason: String) -> TokenizerError {
            TokenizerError(path: list, problem: .malformed(reason))
        }
        guard let fields = try JSONTree(file: list).fields else {
            throw malformed("expected a JSON object of ids")
        }
        var vocabulary = PieceTable(capacity: fields.count)
        var spelling: [String?] = []
        for (piece, value) in fields where !piece.isEmpty {
            guard let id = value.whole, (0...BytePairFile.largestID).contains(id) else {
                throw malformed("expected ids from 0 to \(BytePairFile.largestID)")
            }
            guard vocabulary.insert(Array(piece.utf8)[...], id: Int32(id)) else {
                throw malformed("expected every id to have one entry, got several for one")
            }
            while spelling.count <= id { spelling.append(nil) }
            spelling[id] = piece
        }
        return (spelling, vocabulary)
    }

    /// Checks that a list of ids belongs to a model: it has to number half of the model's pieces.
    /// The list of another model numbers few of them.
    func expectPieces(
        of model: SentencePieceModel, _ file: String, _ vocabulary: PieceTable, in list: String
    ) throws {
        let pieces = zip(model.spelling, model.isText).filter { $1 }.map(\.0)
        let known = pieces.count { vocabulary.id(of: Array($0.utf8)[...]) != nil }
        guard 2 * known < pieces.count else { return }
        throw TokenizerError(
            path: list,
            problem: .malformed(
                "expected it to number the pieces of \(file), found \(known) of \(pieces.count); "
                    + "take all files from one model"))
    }

    func id(
        _ piece: String, _ vocabulary: PieceTable, in list: String
    ) throws -> Int32 {
        guard let id = vocabulary.id(of: Array(piece.utf8)[...]) else {
            throw TokenizerError(
                path: list,
                problem: .malformed("expected it to number \(piece), found no such entry"))
        }
        return id
    }
}
