import Foundation
import Postgres
import TestSupport
import Testing

/// Labels by the default large model: from a file, and from what a worker wrote.
@Suite struct DistillTests {
    private let home: ScratchFolder
    private let documents: [String]

    init() throws {
        home = try ScratchFolder()
        documents = (0..<60).map {
            "Module \($0) for \(["web", "mail", "text", "audio"][$0 % 4]) servers"
        }
        for name in ["jobs", "models"] {
            try FileManager.default.createDirectory(
                atPath: home.path + "/" + name, withIntermediateDirectories: false)
        }
        // Random weights would never end an output, and outputs that are cut off are no labels.
        try FileManager.default.createSymbolicLink(
            atPath: home.path + "/models/llm",
            withDestinationPath: Fixtures.folder + "/../../models/llm")
        try job("large", "mode: llm\nllm: llm")
        try job("own", "mode: slm\nslm: llm")
        try home.write(
            "documents.jsonl", documents.map { #"{"document": "\#($0)"}"# + "\n" }.joined().utf8)
    }

    private func job(_ name: String, _ models: String) throws {
        try home.write(
            "jobs/\(name).yaml",
            """
            name: \(name)
            \(models)
            prompt: 'translate English to Italian: {document}'
            limits: {new_tokens: 40}
            decoding: {no_repeat_ngram: 3}
            """.utf8)
    }

    private func l2s(
        _ arguments: String..., database: TestDatabase? = nil
    ) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(arguments, environment: environment(database))
    }

    private func environment(_ database: TestDatabase?) -> [String: String] {
        var environment = ["L2S_HOME": home.path]
        environment["L2S_DATABASE_URL"] = database?.connectionString
        return environment
    }

    private func path(_ name: String) -> String { home.path + "/" + name }

    private func pairs(_ name: String) throws -> Set<String> {
        Set(
            try String(contentsOfFile: path(name), encoding: .utf8).split(separator: "\n")
                .map(String.init))
    }

    /// Of a model this small, nothing is dropped for what it says.
    private func distill(_ source: String..., database: TestDatabase? = nil) async throws
        -> RunningProgram.Ending
    {
        try await BuiltProgram("l2s").run(
            ["distill"] + source + [
                "--job-type", "large", "--maximum-ratio", "100", "--maximum-repetition", "1",
            ], environment: environment(database))
    }

    @Test func aFileAndTheQueueGiveTheSamePairs() async throws {
        let file = try await distill(
            "documents", path("documents.jsonl"), "--output", path("file.jsonl"))
        #expect(file.status == 0, "\(file.remarks)")
        #expect(file.output.contains("of 60 pairs"))
        #expect(!FileManager.default.fileExists(atPath: path("file.jsonl.labels")))

        let database = try await TestDatabase()
        #expect(try await l2s("migrate", database: database).status == 0)
        let enqueued = try await l2s(
            "enqueue", "--json-lines", "--job-type", "large", path("documents.jsonl"),
            database: database)
        #expect(enqueued.status == 0, "\(enqueued.remarks)")
        let worker = try await BuiltProgram("l2s-worker").run(
            ["--until-empty", "--http-address", "off"], environment: environment(database))
        #expect(worker.status == 0, "\(worker.remarks)")
        let queue = try await distill(
            "jobs", "--output", path("queue.jsonl"), database: database)
        #expect(queue.status == 0, "\(queue.remarks)")
        #expect(try pairs("file.jsonl") == pairs("queue.jsonl"))
        #expect(try pairs("file.jsonl").count > 5)
        #expect(try pairs("file.jsonl").allSatisfy { $0.contains(#""source":"Module "#) })

        let past = try await distill(
            "jobs", "--output", path("past.jsonl"), "--until", "yesterday", database: database)
        #expect(past.status == 2)
        #expect(past.remarks.contains("no pair is left"))
        #expect(!FileManager.default.fileExists(atPath: path("past.jsonl")))
    }

    /// A run that was killed leaves its labels; the next one only writes those that are missing.
    @Test func labelsOfAKilledRunAreKept() async throws {
        let whole = try await distill(
            "documents", path("documents.jsonl"), "--output", path("whole.jsonl"))
        #expect(whole.status == 0)
        let program = try BuiltProgram("l2s").start(
            [
                "distill", "documents", path("documents.jsonl"), "--job-type", "large",
                "--maximum-ratio", "100", "--maximum-repetition", "1", "--output",
                path("killed.jsonl"), "--threads", "1",
            ], environment: environment(nil))
        let journal = path("killed.jsonl.labels")
        try await eventually("a label is written, or all are") {
            let text = (try? String(contentsOfFile: journal, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").count > 1
                || FileManager.default.fileExists(atPath: path("killed.jsonl"))
        }
        program.send(SIGKILL)
        _ = try await program.ending()
        let again = try await distill(
            "documents", path("documents.jsonl"), "--output", path("killed.jsonl"))
        #expect(again.status == 0, "\(again.remarks)")
        #expect(try pairs("killed.jsonl") == pairs("whole.jsonl"))
    }

    @Test func labelsOfAnotherRunAreInTheWay() async throws {
        try home.write("out.jsonl.labels", (#"{"bytes":1,"file":"x","job":"y"}"# + "\n").utf8)
        let ending = try await distill(
            "documents", path("documents.jsonl"), "--output", path("out.jsonl"))
        #expect(ending.status == 2)
        #expect(ending.remarks.contains("expected the labels of this job type and file"))
    }

    @Test func onlyALargeModelLabels() async throws {
        let small = try await l2s(
            "distill", "documents", path("documents.jsonl"), "--job-type", "own", "--output",
            path("out.jsonl"))
        #expect(small.status == 2)
        #expect(small.remarks.contains("which is of mode slm"))
        let unknown = try await l2s(
            "distill", "documents", path("documents.jsonl"), "--job-type", "larg", "--output",
            path("out.jsonl"))
        #expect(unknown.remarks.contains("(large), got \"larg\""))
    }

    @Test func aLineThatIsNoDocumentIsReportedAndTheOthersWritten() async throws {
        try home.write(
            "some.jsonl", (#"{"document": "One document that is fine."}"# + "\nno\n").utf8)
        let ending = try await distill(
            "documents", path("some.jsonl"), "--output", path("some.out.jsonl"))
        #expect(ending.status == 1 || ending.remarks.contains("no pair is left"))
        #expect(ending.remarks.contains("line 2: expected"))
    }
}
