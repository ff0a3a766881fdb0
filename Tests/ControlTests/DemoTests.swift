import Foundation
import TestSupport
import Testing

/// The whole demo, run twice: a private server, real documents by SQL, the real worker.
@Suite struct DemoTests {
    @Test func theDemoShowsEveryDocumentAndIsRepeatable() async throws {
        // The path of a Unix socket must be short, and the name of a test's own folder is long.
        let state = "/tmp/l2s-demo-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: state) }
        let l2s = try BuiltProgram("l2s")
        let environment = ["XDG_STATE_HOME": state]

        let first = try await l2s.run(["demo"], environment: environment)
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

        let second = try await l2s.run(["demo"], environment: environment)
        #expect(second.status == 0, "\(second.remarks)")
        #expect(second.output.contains("server in \(state)/l2s/postgres again"))
        #expect(second.remarks.contains("one call: 6 of 6 documents finished in "))

        let stop = try await l2s.run(["demo", "--stop"], environment: environment)
        #expect(stop.output.hasPrefix("stopped the server"))
        let again = try await l2s.run(["demo", "--stop"], environment: environment)
        #expect(again.status == 0)
        #expect(again.output.hasPrefix("no server runs"))
    }

    @Test func theDemoSaysWhichModelIsMissingBeforeItMakesAServer() async throws {
        let state = "/tmp/l2s-demo-\(UUID().uuidString.prefix(8))"
        let jobs = Fixtures.folder + "/../../jobs"
        let models = Fixtures.folder + "/../../models"
        let demo = try await BuiltProgram("l2s").run(
            ["demo", "--jobs", jobs, "--models", models],
            environment: ["XDG_STATE_HOME": state, "L2S_CACHE": state])
        #expect(demo.status == 2, "\(demo.remarks)")
        #expect(
            demo.remarks.contains("SmolLM2-135M-Instruct: cannot open the model: no such folder"))
        #expect(demo.remarks.contains("run `l2s fetch` to get it"), "\(demo.remarks)")
        #expect(!FileManager.default.fileExists(atPath: state))
    }
}

extension Substring {
    fileprivate var hasURL: Bool { contains("postgresql://") }
}
