/// What is wrong with a tokenizer's file, and which file it is.
package struct TokenizerError: Error, Equatable, Sendable {
    package enum Problem: Equatable, Sendable {
        /// The folder has none of these files.
        case noneOf(files: [String])
        case unreadable(reason: String)
        /// The file is the text stub that git leaves in place of a large file.
        case gitPointer
        case malformed(String)
        /// The tokenizer is well-formed, but of a kind that is not supported.
        case unsupported(field: String, expected: String, found: String)
    }

    package let path: String
    package let problem: Problem
}

extension TokenizerError: CustomStringConvertible {
    package var description: String { "\(path): \(words)" }

    private var words: String {
        switch problem {
        case .noneOf(let files):
            "expected a tokenizer in the folder (\(files.joined(separator: ", or "))), found none; "
                + "copy it from where the model came from"
        case .unreadable(let reason):
            "cannot read it: \(reason)"
        case .gitPointer:
            "expected a tokenizer, found a Git LFS pointer; fetch the real file with `git lfs pull`"
        case .malformed(let reason):
            reason
        case .unsupported(let field, let expected, let found):
            "expected \(field) to be \(expected), got \(String(found.prefix(60)).debugDescription)"
        }
    }
}
