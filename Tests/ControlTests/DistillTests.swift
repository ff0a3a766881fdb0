import Foundation
import Postgres
import TestSupport
import Testing

/// Labels by the default large model: from a file, and from what a worker wrote.
@Suite struct DistillTests {
    private let home: LabelHome
    private let documents: String

    init() throws {
        home = try LabelHome()
        try home.writeJob("large", "mode: llm\nllm: llm")
        try home.writeJob("own", "mode: slm\nslm: llm")
        documents = try home.writeDocuments("documents.jsonl", 0..<60)
    }

    private func l2s(
        _ arguments: String..., database: TestDatabase? = nil
    ) async throws -> RunningProgram.Ending {
        try await l2s(arguments, database: database)
    }

    private func l2s(
        _ arguments: [String], database: TestDatabase? = nil
    ) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(arguments, environment: home.environment(database))
    }

    private func pairs(_ name: String) throws -> Set<String> {
        Set(
            try String(contentsOfFile: home.path(name), encoding: .utf8).split(separator: "\n")
                .map(String.init))
    }

    /// Keeps every label, however long or repetitive, since a model this small writes badly.
    private func distill(_ source: String..., database: TestDatabase? = nil) async throws
        -> RunningProgram.Ending
    {
        try await BuiltProgram("l2s").run(
            ["distill"] + source + [
                "--job-type", "large", "--maximum-ratio", "100", "--maximum-repetition", "1",
            ], environment: home.environment(database))
    }

    @Test func aJobTypeWhosePromptsHoldMetadataIsRefused() async throws {
        try home.writeJob("named", "mode: llm\nllm: llm\ndecoder_prompt: '{metadata.language}'")
        for source in ["documents", "jobs"] {
            let ending = try await l2s(
                ["distill", source] + (source == "documents" ? [documents] : [])
                    + ["--job-type", "named", "--output", home.path("out.jsonl")])
            #expect(ending.status == 2)
            #expect(ending.remarks.contains("hold {metadata.language}"), "\(ending.remarks)")
        }
    }

    @Test func aFileAndTheQueueGiveTheSamePairs() async throws {
        let file = try await distill(
            "documents", documents, "--output", home.path("file.jsonl"))
        #expect(file.status == 0, "\(file.remarks)")
        #expect(file.output.contains("of 60 pairs"))
        #expect(!FileManager.default.fileExists(atPath: home.path("file.jsonl.labels")))

        let database = try await TestDatabase()
        #expect(try await l2s("migrate", database: database).status == 0)
        for (group, numbers) in [("first", 0..<20), ("second", 20..<60)] {
            let enqueued = try await l2s(
                "enqueue", "--json-lines", "--job-type", "large", "--group", group,
                home.writeDocuments("\(group).jsonl", numbers), database: database)
            #expect(enqueued.status == 0, "\(enqueued.remarks)")
        }
        let worker = try await BuiltProgram("l2s-worker").run(
            ["--until-empty", "--http-address", "off"], environment: home.environment(database))
        #expect(worker.status == 0, "\(worker.remarks)")
        let queue = try await distill(
            "jobs", "--output", home.path("queue.jsonl"), database: database)
        #expect(queue.status == 0, "\(queue.remarks)")
        #expect(try pairs("file.jsonl") == pairs("queue.jsonl"))
        #expect(try pairs("file.jsonl").count > 5)
        #expect(try pairs("file.jsonl").allSatisfy { $0.contains(#""source":"Module "#) })

        let group = try await distill(
            "jobs", "--group", "first", "--output", home.path("first.jsonl"), database: database)
        #expect(group.output.contains("of 20 pairs"), "\(group.output)")
        let first = Set((0..<20).map { #""source":"Module \#($0) for "# })
        #expect(
            try pairs("first.jsonl")
                == pairs("queue.jsonl").filter { pair in first.contains { pair.contains($0) } })

        let past = try await distill(
            "jobs", "--output", home.path("past.jsonl"), "--until", "yesterday", database: database)
        #expect(past.status == 2)
        #expect(past.remarks.contains("no pair is left"))
        #expect(!FileManager.default.fileExists(atPath: home.path("past.jsonl")))
    }

    /// A run that was killed leaves its labels; the next one only writes those that are missing.
    @Test func labelsOfAKilledRunAreKept() async throws {
        let whole = try await distill(
            "documents", documents, "--output", home.path("whole.jsonl"))
        #expect(whole.status == 0)
        let program = try BuiltProgram("l2s").start(
            [
                "distill", "documents", documents, "--job-type", "large",
                "--maximum-ratio", "100", "--maximum-repetition", "1", "--output",
                home.path("killed.jsonl"), "--threads", "1",
            ], environment: home.environment(nil))
        let journal = home.path("killed.jsonl.labels")
        try await eventually("a label is written, or all are") {
            let text = (try? String(contentsOfFile: journal, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").count > 1
                || FileManager.default.fileExists(atPath: home.path("killed.jsonl"))
        }
        program.send(SIGKILL)
        _ = try await program.ending()
        let again = try await distill(
            "documents", documents, "--output", home.path("killed.jsonl"))
        #expect(again.status == 0, "\(again.remarks)")
        #expect(try pairs("killed.jsonl") == pairs("whole.jsonl"))
    }

    @Test func labelsOfAnotherRunAreInTheWay() async throws {
        try home.write("out.jsonl.labels", #"{"bytes":1,"file":"x","job":"y"}"# + "\n")
        let ending = try await distill(
            "documents", documents, "--output", home.path("out.jsonl"))
        #expect(ending.status == 2)
        #expect(ending.remarks.contains("expected the labels of this job type and file"))
    }

    @Test func onlyALargeModelLabels() async throws {
        let small = try await l2s(
            "distill", "documents", documents, "--job-type", "own", "--output",
            home.path("out.jsonl"))
        #expect(small.status == 2)
        #expect(small.remarks.contains("which is of mode slm"))
        let unknown = try await l2s(
            "distill", "documents", documents, "--job-type", "larg", "--output",
            home.path("out.jsonl"))
        #expect(unknown.remarks.contains("(large), got \"larg\""))
    }

    @Test func aLineThatIsNoDocumentIsReportedAndTheOthersWritten() async throws {
        try home.write(
            "some.jsonl", #"{"document": "One document that is fine."}"# + "\nno\n")
        let ending = try await distill(
            "documents", home.path("some.jsonl"), "--output", home.path("some.out.jsonl"))
        #expect(ending.status == 1 || ending.remarks.contains("no pair is left"))
        #expect(ending.remarks.contains("line 2: expected"))
    }
}
