/// Languages that each document names in a field of its metadata.
struct DocumentLanguages: Sendable {
    /// The name of the field.
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

    /// The spelling, in a prompt, of the language that these fields name; nil if it is none.
    func text(_ fields: [String: String]) -> String? { token(fields)?.text }

    /// Whether the model reads them before the text, as OPUS-MT's do.
    var areTags: Bool { tokens.values.contains(where: \.isTag) }

    /// - Throws: `RejectedDocument` for a language that the model does not have. The error does not
    ///   name the language, which is text of a document.
    func check(_ fields: [String: String]) throws(RejectedDocument) {
        guard token(fields) == nil else { return }
        let some = tokens.keys.sorted().prefix(8).joined(separator: ", ")
        throw RejectedDocument(
            "expected metadata.\(field) to be a language of \(path), such as \(some) "
                + "(\(tokens.count) in all), found another text; enqueue the document again with one"
        )
    }

    /// The token of the language that these fields name; nil if it is none.
    func id(_ fields: [String: String]) -> Int32? { token(fields)?.id }

    private func token(_ fields: [String: String]) -> LanguageTokens.Token? {
        fields[field].flatMap { tokens[$0] }
    }
}
