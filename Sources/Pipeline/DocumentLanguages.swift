/// Languages that each document names in a field of its metadata.
struct DocumentLanguages: Sendable {
    /// The field.
    let field: String
    /// By name.
    private let tokens: [String: LanguageTokens.Token]
    /// The folder of the model, for errors.
    private let path: String

    /// - Throws: `Refused` where the tokenizer has no languages.
    init(_ field: String, of tokens: LanguageTokens, setting: String) throws {
        self.field = field
        self.tokens = try tokens.all(setting: setting)
        path = tokens.path
    }

    /// As a prompt spells the language of a document with these fields; nil for one that is none.
    func text(_ fields: [String: String]) -> String? { token(fields)?.text }

    /// Whether they stand before the text that is read, as OPUS-MT's do.
    var areTags: Bool { tokens.values.contains(where: \.isTag) }

    /// - Throws: `RejectedDocument` for a language that the model does not have. The name is not in
    ///   it: it is text of a document.
    func check(_ fields: [String: String]) throws(RejectedDocument) {
        guard token(fields) == nil else { return }
        let some = tokens.keys.sorted().prefix(8).joined(separator: ", ")
        throw RejectedDocument(
            "expected metadata.\(field) to be a language of \(path), such as \(some) "
                + "(\(tokens.count) in all), found another text; enqueue the document again with one"
        )
    }

    /// The token of the language of a document with these fields; nil for one that is none.
    func id(_ fields: [String: String]) -> Int32? { token(fields)?.id }

    private func token(_ fields: [String: String]) -> LanguageTokens.Token? {
        fields[field].flatMap { tokens[$0] }
    }
}
