import Foundation
import Postgres
import TestSupport
import Testing

/// The whole way from a large model to a small one that a worker serves, by the programs alone.
@Suite struct LoopTests {
    private let home: ScratchFolder

    init() throws {
        home = try ScratchFolder()
        for name in ["jobs", "models"] {
            try FileManager.default.createDirectory(
                atPath: home.path + "/" + name, withIntermediateDirectories: false)
        }
        // Random weights would never end an output, and outputs that are cut off are no labels.
        try FileManager.default.createSymbolicLink(
            atPath: home.path + "/models/llm",
            withDestinationPath: Fixtures.folder + "/../../models/llm")
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

    private func run(
        _ program: String, _ arguments: [String], _ database: TestDatabase
    ) async throws -> String {
        let ending = try await BuiltProgram(program).run(
            arguments,
            environment: [
                "L2S_HOME": home.path, "L2S_DATABASE_URL": database.connectionString,
            ])
        #expect(ending.status == 0, "\(program) \(arguments): \(ending.remarks)")
        return ending.output
    }

    private func process(_ jobType: String, _ database: TestDatabase) async throws {
        _ = try await run("l2s", ["migrate"], database)
        _ = try await run(
            "l2s",
            ["enqueue", "--json-lines", "--job-type", jobType, home.path + "/documents.jsonl"],
            database)
        _ = try await run("l2s-worker", ["--until-empty", "--http-address", "off"], database)
    }

    @Test func aSmallModelIsDistilledTrainedComparedAndServed() async throws {
        let database = try await TestDatabase(migrated: false)
        try home.write(
            "documents.jsonl",
            (0..<150).map {
                #"{"document": "Module \#($0) for \#(["web", "mail", "text", "audio"][$0 % 4]) servers"}"#
                    + "\n"
            }
            .joined().utf8)
        try job("large", "mode: llm\nllm: llm")
        try await process("large", database)

        let (pairs, validation) = (home.path + "/pairs.jsonl", home.path + "/valid.jsonl")
        let distilled = try await run(
            "l2s",
            [
                "distill", "jobs", "--job-type", "large", "--output", pairs, "--validation",
                validation, "--maximum-ratio", "100", "--maximum-repetition", "1",
            ], database)
        #expect(distilled.contains("of 150 pairs"))

        let recipe = try home.write(
            "recipe.yaml",
            """
            llm: llm
            output: small
            prompt: 'translate English to Italian: {document}'
            start: {llm_layers: '0'}
            data: {train: \(pairs), validation: \(validation)}
            batch: {tokens: 512}
            length: {steps: 6}
            optimizer: {learning_rate: 0.0001, warmup_steps: 2}
            validation: {interval: 3}
            threads: 1
            """.utf8)
        _ = try await run("l2s", ["train", recipe], database)

        try job("small", "mode: hybrid\nllm: llm\nslm: small")
        let evaluated = try await run(
            "l2s", ["eval", "--job-type", "small", "--data", validation], database)
        #expect(evaluated.contains("hybrid"))
        #expect(evaluated.contains("llm"))

        try await process("small", database)
        let connection = try await database.connect()
        let served: Int = try await connection.query(
            "SELECT count(*) FROM l2s.jobs WHERE job_type = 'small' AND state = 'succeeded'"
        ).single()
        #expect(served == 150)
    }
}
