import Foundation
import TestSupport
import Testing

/// The whole of it: a private server, real documents by SQL, the real worker, twice.
@Suite struct DemoTests {
    @Test func theDemoShowsEveryDocumentAndIsRepeatable() async throws {
        // A Unix socket's path has little room, so not a test's own long name.
        let state = "/tmp/l2s-demo-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: state) }
        let l2s = try BuiltProgram("l2s")
        let environment = ["XDG_STATE_HOME": state]

        let jobs = try Self.fewSamples()
        let first = try await l2s.run(["demo", "--jobs", jobs.path], environment: environment)
        #expect(first.status == 0, "\(first.remarks)")
        #expect(
            first.output.contains(
                "SELECT l2s.enqueue(ARRAY['summarize', 'translate-en-it'], body) FROM sample;"))
        #expect(first.output.contains("SELECT l2s.enqueue('summarize-llm', body) FROM sample;"))
        #expect(first.remarks.contains("one call: 6 of 6 documents finished in "))
        #expect(first.remarks.contains("summarize-llm, LLM: 3 of 3 documents finished in "))
        #expect(first.output.contains("documents/s"))
        #expect(first.output.contains("translate-en-it/001"))
        #expect(first.output.split(separator: "\n").allSatisfy { $0.count <= 100 || $0.hasURL })

        let second = try await l2s.run(["demo", "--jobs", jobs.path], environment: environment)
        #expect(second.status == 0, "\(second.remarks)")
        #expect(second.output.contains("server in \(state)/l2s/postgres again"))
        #expect(second.remarks.contains("one call: 6 of 6 documents finished in "))

        let stop = try await l2s.run(["demo", "--stop"], environment: environment)
        #expect(stop.output.hasPrefix("stopped the server"))
        let again = try await l2s.run(["demo", "--stop"], environment: environment)
        #expect(again.status == 0)
        #expect(again.output.hasPrefix("no server runs"))
    }

    /// The job types of the fixtures over three of the shipped samples.
    private static func fewSamples() throws -> ScratchFolder {
        let types = Fixtures.home + "/jobs/"
        let shipped = Fixtures.folder + "/../../jobs/"
        let jobs = try ScratchFolder()
        let files = FileManager.default
        for name in try files.contentsOfDirectory(atPath: types) where name.hasSuffix(".yaml") {
            try files.copyItem(atPath: types + name, toPath: jobs.path + "/" + name)
        }
        for sample in ["summarize/001", "summarize/036", "translate-en-it/001"] {
            let path = "\(jobs.path)/samples/\(sample).txt"
            try files.createDirectory(
                atPath: String(path.dropLast("/001.txt".count)), withIntermediateDirectories: true)
            try files.copyItem(atPath: "\(shipped)/samples/\(sample).txt", toPath: path)
        }
        return jobs
    }
}

extension Substring {
    fileprivate var hasURL: Bool { contains("postgresql://") }
}
