import Foundation
import Postgres
import TestSupport
import Testing

/// No text of a document appears in logs, metrics, pages and commands for operators.
@Suite(.timeLimit(.minutes(15))) struct CanaryTests {
    private let canary = "Zyzzogeton"

    @Test func aCanaryIsNeverHeard() async throws {
        let stand = try await TestStand()
        let jobs = try jobsWithAStrictOne()
        let worker = try stand.startWorker(
            "--jobs", jobs.path, "--http-address", "127.0.0.1:0", "--log-level", "trace")
        let address = try await worker.watchAddress()
        try await stand.waitUntilRegistered(worker)
        // Two that succeed, one that is too long, and one with characters that no tokenizer knows. Keys
        // and metadata repeat the word, too.
        let ids: [Int64] = try await stand.sql.query(
            """
            SELECT l2s.enqueue(
                type, body, dedupe_key => $1 || n, priority => 3,
                metadata => jsonb_build_object('title', $1::text, 'traceparent', $1::text)) AS id
            FROM (VALUES
                (1, 'summarize', $1 || ' is the name of a beetle that lives on walnut trees.'),
                (2, 'translate-en-it', 'The ' || $1 || ' sings at night.'),
                (3, 'strict', repeat($1 || ' ', 4000)),
                (4, 'summarize', $1 || chr(1) || chr(65533) || $1)) AS d(n, type, body)
            """, [.text(canary)]
        ).map { try $0.value("id") }
        try await eventually("all are done; \(worker.log)") {
            try await stand.count("l2s.result") == ids.count
        }
        #expect(try await stand.count("l2s.document WHERE body LIKE '%\(canary)%'") == ids.count)

        var heard = [
            ("log", worker.log), ("page", try await Answer(address).text),
            ("metrics", try await Answer("\(address)/metrics").text),
            (
                "openmetrics",
                try await Answer("\(address)/metrics", accept: "application/openmetrics-text").text
            ),
        ]
        let commands =
            [
                ["top"], ["top", "--json"], ["status"], ["status", "--json"],
                ["plan", "--job", "strict"], ["plan", "--job", "summarize", "--json"],
            ] + ids.flatMap { [["trace", "\($0)"], ["trace", "\($0)", "--json"]] }
        for command in commands {
            let ending = try await BuiltProgram("l2s").run(
                command, environment: ["L2S_DATABASE_URL": stand.database.connectionString])
            #expect(ending.status == 0, "\(command): \(ending.remarks)")
            heard.append((command.joined(separator: " "), ending.output + ending.remarks))
        }
        for (place, words) in heard {
            #expect(!words.isEmpty, "\(place)")
            #expect(!words.contains(canary), "\(place): \(words)")
        }
    }
}
