/// What keeps a model from being used, as data; `description` puts it into words.
package enum InferenceError: Error, Equatable, Sendable, CustomStringConvertible {
    case wrongModel(path: String, expected: String, found: String)
    case widthMismatch(path: String, what: String, expected: Int, found: Int)
    case tokenOutsideVocabulary(path: String, token: Int32, rows: Int)
    case startOutsideVocabulary(path: String, token: Int32, rows: Int)

    /// The environment asks for kernels that this machine cannot run.
    case kernelsUnavailable(found: String, available: [String])

    package var description: String {
        switch self {
        case .wrongModel(let path, let expected, let found):
            "\(path): expected \(expected), found \(found)"
        case .widthMismatch(let path, let what, let expected, let found):
            "\(path): expected \(what) to be \(expected) wide, found \(found)"
        case .startOutsideVocabulary(let path, let token, let rows):
            "\(path)/config.json: expected responses to start with an id below \(rows), the rows of "
                + "the embedding, got \(token)"
        case .kernelsUnavailable(let found, let available):
            "expected \(KernelLevel.variable) to be \(available.joined(separator: " or ")), which "
                + "this machine can run, got \(found)"
        case .tokenOutsideVocabulary(let path, let token, let rows):
            "\(path): the tokenizer gives id \(token), but the model has only \(rows) embedding "
                + "rows; use the tokenizer that belongs to the model"
        }
    }
}
