import Foundation
import Jobs
import Testing

@testable import Settings

private let repository = URL(filePath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

@Suite struct JobFolderTests {
    /// A folder with `files`, gone after `body`.
    private func withFolder(
        _ files: [String: Data], _ body: (String) throws -> Void
    ) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, content) in files { try content.write(to: folder.appending(path: name)) }
        try body(folder.path(percentEncoded: false))
    }

    private func job(_ name: String) -> Data {
        Data("name: \(name)\nmode: llm\nllm: llm\nprompt: '{document}'\n".utf8)
    }

    /// All shipped job types have one encoder and one prompt, so they share a reading.
    @Test func theShippedJobsShareAReading() throws {
        let jobTypes = try loadJobTypes(
            folder: repository.appending(path: "jobs").path(percentEncoded: false))
        #expect(
            jobTypes.map(\.name) == [
                "summarize-hybrid", "summarize", "translate-en-de", "translate-en-fr",
                "translate-en-it",
            ])
        #expect(Set(jobTypes.map(\.llm)).count == 1)
        #expect(Set(jobTypes.map(\.adapter)) == ["smollm2-tasks"])
        #expect(jobTypes.allSatisfy { $0.prompt == jobTypes[0].prompt })
        #expect(Set(jobTypes.map(\.decoderPrompt)).count == 4)
    }

    @Test func aMarkInFrontOfAFileIsNoText() throws {
        try withFolder(["a.yaml": Data([0xEF, 0xBB, 0xBF]) + job("marked")]) { folder in
            let names = try loadJobTypes(folder: folder).map(\.name)
            #expect(names == ["marked"])
        }
    }

    @Test func errorsOfAllFilesAreCollected() throws {
        let files = [
            "a.yaml": job("same"), "b.yml": job("same"), "c.yaml": Data([0xFF, 0xFE, 0x80]),
            "d.yaml": Data(repeating: 0x20, count: 70_000), "e.yaml": Data("mode: x".utf8),
            ".hidden.yaml": Data("[".utf8), "notes.txt": Data("[".utf8),
        ]
        try withFolder(files) { folder in
            let refusals = try #require(throws: Refusals.self) {
                try loadJobTypes(folder: folder)
            }
            let lines = refusals.all.map {
                $0.description.replacing(folder.hasSuffix("/") ? folder : folder + "/", with: "")
            }
            #expect(
                lines.prefix(3) == [
                    "b.yml:1: expected name to be a name that no other file has, "
                        + "got \"same\", which a.yaml has",
                    "c.yaml: expected the file to be UTF-8, got bytes that are not",
                    "d.yaml: expected the file to be at most 65536 bytes, got 70000",
                ])
            #expect(lines.dropFirst(3).allSatisfy { $0.hasPrefix("e.yaml:") })
            #expect(lines.count == 6)
        }
    }

    @Test func aFolderWithoutJobsIsRefused() throws {
        try withFolder([:]) { folder in
            #expect(throws: Refusals.self) { try loadJobTypes(folder: folder) }
            #expect(throws: Refusals.self) { try loadJobTypes(folder: folder + "/none") }
        }
    }

    @Test(arguments: [
        ("jobs/README.md", JobField.all.markdown),
        ("jobs/recipes/README.md", RecipeField.all.markdown),
    ])
    func theReadmeHoldsTheReference(path: String, table: String) throws {
        let readme = try String(contentsOf: repository.appending(path: path), encoding: .utf8)
        #expect(readme.contains(table + "\n\n"), "put this table into \(path):\n\(table)")
    }

    @Test func theReferenceTellsEveryFieldOnALine() {
        let lines = JobField.all.reference.split(separator: "\n")
        #expect(lines.count == JobField.all.count)
        #expect(
            lines.contains {
                $0.hasPrefix("limits.new_tokens  ") && $0.hasSuffix("Default: 128.")
            })
    }
}
