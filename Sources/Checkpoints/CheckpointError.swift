/// What is wrong with a model file, and with which file.
package struct CheckpointError: Error, Equatable, Sendable {
    package let path: String
    package let problem: Problem

    package init(path: String, problem: Problem) {
        self.path = path
        self.problem = problem
    }
}

extension CheckpointError {
    package enum Problem: Equatable, Sendable {
        /// The operating system refused: `attempt` says what was tried.
        case unreadable(attempt: String, reason: String)
        /// A folder without any of these files.
        case noneOf(files: [String])
        /// The file is the text stub that git leaves in place of a large file.
        case gitPointer
        /// The folder has weights only in a format that can run code when it is read.
        case foreignWeights(found: String)
        /// The file ends before its own header says it does. Sizes in bytes.
        case truncated(expected: Int, found: Int)
        case malformed(String)
        case malformedTensor(name: String, String)
        case missingTensor(name: String, nearest: [String])
        case wrongShape(name: String, expected: [Int?], found: [Int])
        /// A tensor whose number format cannot be read.
        case unreadableFormat(name: String, found: String)
        case missingShard(file: String)
        /// A folder that is to be written is not empty.
        case occupied(by: String)
        /// A value of a JSON file that cannot be used.
        case field(name: String, expected: String, found: String)
    }
}

extension CheckpointError: CustomStringConvertible {
    package var description: String { "\(path): \(words)" }

    private var words: String {
        switch problem {
        case .unreadable(let attempt, let reason):
            "cannot \(attempt): \(reason)"
        case .noneOf(let files):
            "expected the folder to hold \(files.joined(separator: " or ")), found no such file"
        case .gitPointer:
            "expected model data, found a Git LFS pointer; fetch the real file with `git lfs pull`"
        case .foreignWeights(let found):
            "expected model.safetensors, found only \(found); load the model with transformers "
                + "and save it with save_pretrained(folder, safe_serialization=True)"
        case .truncated(let expected, let found):
            "expected \(expected) bytes, found \(found); the file is cut off or damaged, "
                + "copy or download it again"
        case .malformed(let reason):
            reason
        case .malformedTensor(let name, let reason):
            "tensor \(quoted(name)): \(reason)"
        case .missingTensor(let name, let nearest):
            "expected a tensor \(quoted(name)), found none"
                + (nearest.isEmpty
                    ? "" : "; nearest are \(nearest.map(quoted).joined(separator: ", "))")
        case .wrongShape(let name, let expected, let found):
            "expected tensor \(quoted(name)) to be of shape "
                + "[\(expected.map { $0.map(String.init) ?? "any" }.joined(separator: ", "))], "
                + "got \(found)"
        case .unreadableFormat(let name, let found):
            "expected tensor \(quoted(name)) to be F32, BF16 or F16, got \(found)"
        case .missingShard(let file):
            "expected the shard \(quoted(file)) beside it, found no such file; "
                + "copy or download all shards"
        case .occupied(let name):
            "expected a folder that is new or empty, found \(quoted(name)) in it"
        case .field(let name, let expected, let found):
            "expected \(name) to be \(expected), got \(found)"
        }
    }
}

/// A name from a file as it may appear in a message: one line, of bounded length.
func quoted(_ name: String) -> String {
    let limit = 120
    let start = String(name.unicodeScalars.prefix(limit))
    return start.debugDescription + (start.utf8.count < name.utf8.count ? "…" : "")
}
