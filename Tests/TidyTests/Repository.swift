import Foundation

/// A text file of the repository.
struct SourceFile: Sendable {
    /// From the repository's root, such as `Sources/Jobs/JobType.swift`.
    let path: String
    let lines: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// `Jobs` for a file of `Sources/Jobs`.
    var module: String? {
        let parts = path.split(separator: "/")
        if parts.first == "migrations" { return "Migrations" }
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    func isBelow(_ folder: String) -> Bool { path.hasPrefix(folder + "/") }
    func ends(with suffixes: String...) -> Bool { suffixes.contains { path.hasSuffix($0) } }
}

/// What people wrote: sources, tests, migrations, jobs and the files at the top, without models and
/// sample documents.
enum Repository {
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let files: [SourceFile] = {
        let tops = ["Sources", "Tests", "migrations", "jobs", "deploy", ".ci"]
        let suffixes = [
            ".swift", ".c", ".h", ".cpp", ".modulemap", ".sql", ".yaml", ".yml", ".py", ".md",
        ]
        let deep = tops.flatMap { top in
            let found = FileManager.default.enumerator(
                atPath: root.appending(path: top).path(percentEncoded: false))
            return (found?.compactMap { $0 as? String } ?? []).map { "\(top)/\($0)" }
        }
        let paths = deep.filter { path in
            suffixes.contains { path.hasSuffix($0) } || path.hasPrefix(".ci/")
        }
        let top = ["Package.swift", "Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
        return (paths + top).sorted().compactMap { path in
            guard let bytes = try? Data(contentsOf: root.appending(path: path)) else { return nil }
            return SourceFile(path: path, text: String(decoding: bytes, as: UTF8.self))
        }
    }()
}
