import Foundation
import Postgres
import TestSupport
import Testing

/// The whole way from a large model to a small one that a worker serves, by the programs alone.
@Suite struct LoopTests {
    private let home: LabelHome

    init() throws { home = try LabelHome() }

    private func run(
        _ program: String, _ arguments: [String], _ database: TestDatabase
    ) async throws -> String {
        let ending = try await BuiltProgram(program).run(
            arguments, environment: home.environment(database))
        #expect(ending.status == 0, "\(program) \(arguments): \(ending.remarks)")
        return ending.output
    }

    private func process(_ jobType: String, _ database: TestDatabase) async throws {
        _ = try await run("l2s", ["migrate"], database)
        _ = try await run(
            "l2s",
            ["enqueue", "--json-lines", "--job-type", jobType, home.path("documents.jsonl")],
            database)
        _ = try await run("l2s-worker", ["--until-empty", "--http-address", "off"], database)
    }

    @Test func aSmallModelIsDistilledTrainedComparedAndServed() async throws {
        let database = try await TestDatabase(migrated: false)
        _ = try home.writeDocuments("documents.jsonl", 0..<150)
        try home.writeJob("large", "mode: llm\nllm: llm")
        try await process("large", database)

        let (pairs, validation) = (home.path("pairs.jsonl"), home.path("valid.jsonl"))
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
            """)
        _ = try await run("l2s", ["train", recipe], database)

        try home.writeJob("small", "mode: hybrid\nllm: llm\nslm: small")
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
