import Foundation
import Postgres
import TestSupport
import Testing

/// The ways in which both models work on a document, from job file to result.
@Suite(.timeLimit(.minutes(15))) struct TwoModelTests {
    @Test func eachModeIsWhatTheResultSays() async throws {
        let jobs = try ScratchFolder()
        let hybrid = "mode: hybrid\nllm: llm\nslm: slm-summarize\n"
        for (name, rest) in [
            ("large", "mode: llm\nllm: llm\n"), ("small", hybrid),
            ("checked", "mode: speculative\nllm: llm\nslm: slm-summarize\n"),
            ("unsure", hybrid + "fallback: 1\n"), ("compared", hybrid + "shadow: 1\n"),
        ] {
            try jobs.write(
                name + ".yaml",
                "name: \(name)\nprompt: 'summarize: {document}'\nlimits: {new_tokens: 24}\n\(rest)"
                    .utf8)
        }
        let stand = try await TestStand()
        let worker = try stand.startWorker("--jobs", jobs.path)
        try await stand.waitUntilRegistered(worker)
        try await stand.sql.query(
            """
            SELECT l2s.enqueue(t.name, 'This package holds ' || n || ' programs to draw maps.')
            FROM unnest(ARRAY['large', 'small', 'checked', 'unsure', 'compared']) AS t(name),
                 generate_series(1, 6) AS n
            """)
        try await eventually("all documents are done; the log: \(worker.log)") {
            try await stand.count("l2s.jobs WHERE state = 'succeeded'") == 30
        }
        worker.send(SIGTERM)
        #expect(await worker.waitForExit().code == 0)
        // Compares each document of a job type with the same one of types `large` and `small`.
        let rows = try await stand.sql.query(
            """
            SELECT a.job_type, count(*) AS documents,
                   count(*) FILTER (WHERE a.output = large.output) AS as_large,
                   count(*) FILTER (WHERE a.output = small.output) AS as_small,
                   min(a.model) AS model, min(a.mode) AS mode, count(a.agreement) AS compared,
                   coalesce(bool_and(a.agreement BETWEEN 0 AND 1), true) AS bounded
            FROM l2s.jobs a
            JOIN l2s.document d ON d.id = a.id
            JOIN l2s.document e ON e.body = d.body
            JOIN l2s.jobs large ON large.id = e.id AND large.job_type = 'large'
            JOIN l2s.document f ON f.body = d.body
            JOIN l2s.jobs small ON small.id = f.id AND small.job_type = 'small'
            GROUP BY a.job_type ORDER BY a.job_type
            """)
        var found: [String: Row] = [:]
        for row in rows { found[try row.value("job_type")] = row }
        func value(_ type: String, _ column: String) throws -> Int64 {
            try #require(found[type]).value(column)
        }
        for type in ["large", "small", "checked", "unsure", "compared"] {
            #expect(try value(type, "documents") == 6)
            let isLarge = ["large", "checked", "unsure"].contains(type)
            #expect(try value(type, isLarge ? "as_large" : "as_small") == 6, "\(type)")
            let model: String = try #require(found[type]).value("model")
            #expect(model == (isLarge ? "llm" : "slm-summarize"), "\(type)")
            #expect(try value(type, "compared") == (type == "compared" ? 6 : 0))
            #expect(try #require(found[type]).value("bounded") == true)
        }
        #expect(try #require(found["checked"]).value("mode") == "speculative")
        let shadowed: Int64 = try await stand.sql.query(
            "SELECT sum(shadowed)::bigint FROM l2s.throughput WHERE job_type = 'compared'"
        ).single()
        #expect(shadowed == 6)
    }
}
