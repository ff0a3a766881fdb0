import Foundation
import TestSupport

/// A home folder with the trained large model of the fixtures. A model of random weights would never
/// end an output, and outputs that are cut off are no labels.
struct LabelHome {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
        for name in ["jobs", "models"] {
            try FileManager.default.createDirectory(
                atPath: path(name), withIntermediateDirectories: false)
        }
        try FileManager.default.createSymbolicLink(
            atPath: path("models/llm"), withDestinationPath: Fixtures.home + "/models/llm")
    }

    func path(_ name: String) -> String { folder.path + "/" + name }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        try folder.write(name, text.utf8)
    }

    func writeJob(_ name: String, _ models: String) throws {
        try write(
            "jobs/\(name).yaml",
            """
            name: \(name)
            \(models)
            prompt: 'translate English to Italian: {document}'
            limits: {new_tokens: 40}
            decoding: {no_repeat_ngram: 3}
            """)
    }

    /// - Returns: the file's path.
    func writeDocuments(_ name: String, _ numbers: Range<Int>) throws -> String {
        let kinds = ["web", "mail", "text", "audio"]
        return try write(
            name,
            numbers.map { #"{"document": "Module \#($0) for \#(kinds[$0 % 4]) servers"}"# + "\n" }
                .joined())
    }

    func environment(_ database: TestDatabase?) -> [String: String] {
        var environment = ["L2S_HOME": folder.path]
        environment["L2S_DATABASE_URL"] = database?.connectionString
        return environment
    }
}
