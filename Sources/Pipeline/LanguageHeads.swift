internal import Inference
internal import Synchronization

/// The heads that begin outputs with the language that a document names. Each is made when the
/// first document names its language. Later documents get the same head, because a decoder writes
/// only documents with the same head together.
final class LanguageHeads: Sendable {
    private let head: OutputHead
    private let languages: DocumentLanguages
    private let tokens: LanguageTokens
    /// By the language's token.
    private let made = Mutex<[Int32: OutputHead]>([:])

    /// - Parameter head: the head for a document that names no language.
    init(_ head: OutputHead, _ languages: DocumentLanguages, _ tokens: LanguageTokens) {
        self.head = head
        self.languages = languages
        self.tokens = tokens
    }

    /// The head for the outputs of a document with these fields.
    func head(for fields: [String: String]) -> OutputHead {
        guard let id = languages.id(fields) else { return head }
        return made.withLock { made in
            if let head = made[id] { return head }
            let own = tokens.beginning(head, with: id)
            made[id] = own
            return own
        }
    }
}
