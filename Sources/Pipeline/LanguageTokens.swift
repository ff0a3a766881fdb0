internal import Inference
internal import Tokenizers

/// The tokens by which a translator's tokenizer calls languages.
struct LanguageTokens: Sendable {
    private let tokenizer: any Tokenizer
    /// The folder, for errors.
    let path: String

    init(_ tokenizer: any Tokenizer, path: String) {
        self.tokenizer = tokenizer
        self.path = path
    }

    struct Token: Sendable {
        let id: Int32
        /// Its spelling in a prompt.
        let text: String
        /// Whether the model reads it before the text, such as `>>ita<<`.
        let isTag: Bool
    }

    /// - Throws: `Refused` where the tokenizer has no such language.
    func token(_ name: String, field: String) throws -> Token {
        let spellings = ["__\(name)__", ">>\(name)<<", name]
        for (text, id) in zip(spellings, tokenizer.ids(ofPieces: spellings)) {
            guard let id, isSpecial(text, id) else { continue }
            return Token(id: id, text: text, isTag: text.hasPrefix(">>"))
        }
        let names = self.names
        guard !names.isEmpty else { throw noLanguages(field, found: name) }
        throw Refused(
            "expected \(field) to be a language of \(path), such as "
                + "\(names.prefix(8).joined(separator: ", ")) (\(names.count) in all), got \(name)")
    }

    /// Each language by its name.
    ///
    /// - Throws: `Refused` where the tokenizer has none.
    func all(setting: String) throws -> [String: Token] {
        let names = self.names
        guard !names.isEmpty else { throw noLanguages(setting, found: "a field of the metadata") }
        return Dictionary(
            try names.map { ($0, try token($0, field: setting)) },
            uniquingKeysWith: { one, _ in one })
    }

    private func noLanguages(_ setting: String, found: String) -> Refused {
        Refused(
            "expected \(setting) to be a language of \(path), whose tokenizer names none; leave it "
                + "out, got \(found)")
    }

    /// The head for outputs in a language. The older kind of mBART takes the language as its start
    /// token; the others write it as the first token.
    func beginning(_ head: OutputHead, with id: Int32) -> OutputHead {
        isLanguage(head.startID) ? head.beginning(startID: id) : head.beginning(firstID: id)
    }

    func isLanguage(_ id: Int32) -> Bool {
        guard tokenizer.pieces.indices.contains(Int(id)), let piece = tokenizer.pieces[Int(id)]
        else { return false }
        return Self.name(piece) != nil && isSpecial(piece, id)
    }

    /// Whether a template's text becomes this one token while the same text in a document does not.
    /// Some tokenizers put the token after the text and give no token here.
    private func isSpecial(_ text: String, _ id: Int32) -> Bool {
        let ids = tokenizer.encode([.template(text)], ends: .none)
        return (ids == [id] || ids.isEmpty)
            && tokenizer.encode([.document(text)], ends: .none) != [id]
    }

    private var names: [String] {
        tokenizer.pieces.enumerated().compactMap { index, piece in
            guard let piece, let name = Self.name(piece), isSpecial(piece, Int32(index)) else {
                return nil
            }
            return name
        }
    }

    /// The language that a piece names; nil for a piece that is not spelled as languages are.
    private static func name(_ piece: String) -> String? {
        if piece.hasPrefix(">>"), piece.hasSuffix("<<"), piece.utf8.count > 4 {
            return String(piece.dropFirst(2).dropLast(2))
        }
        if piece.hasPrefix("__"), piece.hasSuffix("__"), piece.utf8.count > 4 {
            return String(piece.dropFirst(2).dropLast(2))
        }
        let parts = piece.split(separator: "_", omittingEmptySubsequences: false)
        let isName =
            parts.count == 2 && (2...3).contains(parts[0].count) && (2...4).contains(parts[1].count)
            && parts.joined().utf8.allSatisfy { (65...90).contains($0) || (97...122).contains($0) }
        return isName ? piece : nil
    }
}
