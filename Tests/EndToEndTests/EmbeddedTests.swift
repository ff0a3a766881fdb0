import Foundation
import InMemoryTracing
import L2SWorker
import Logging
import Postgres
import Settings
import TestSupport
import Testing
import Tracing

/// A worker inside another program, which collects its spans.
@Suite(.timeLimit(.minutes(15))) struct EmbeddedTests {
    @Test func itsSpansTellWhatTheDatabaseTells() async throws {
        let stand = try await TestStand()
        let tracer = TraceCollector()
        let worker = try DocumentWorker(
            WorkerSettings(
                RawSettings(
                    flags: [:],
                    environment: [
                        "L2S_DATABASE_URL": stand.database.connectionString,
                        "L2S_HOME": Fixtures.home, "L2S_HTTP_ADDRESS": "off",
                        // Other tests of this process may keep the worker from renewing a lease.
                        "L2S_LEASE": "1h",
                    ]), cores: 1),
            stopsWhenEmpty: true, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let migration = try await BuiltProgram("l2s").run([
            "migrate", "--database-url", stand.database.connectionString,
        ])
        #expect(migration.status == 0, "\(migration.remarks)")
        let trace = "0af7651916cd43dd8448eb211c80319c"
        let ids: [Int64] = try await stand.sql.query(
            """
            SELECT l2s.enqueue(
                'summarize', 'Rain fell on the town all day, document ' || n || '.',
                metadata => jsonb_build_object('traceparent', $1::text)) AS id
            FROM generate_series(1, 5) AS n
            """, [.text("00-\(trace)-b7ad6b7169203331-01")]
        ).map { try $0.value("id") }
        try await withTracer(tracer) { try await worker.run() }

        let spans = tracer.spans
        let documents = spans.filter { $0.operationName == "process summarize" }
        #expect(documents.count == ids.count)
        #expect(documents.allSatisfy { $0.traceID == trace })
        for id in ids {
            let span = try #require(
                documents.first { $0.attributes.get("messaging.message.id") == .string("\(id)") })
            let row = try #require(
                try await stand.sql.query(
                    "SELECT * FROM l2s.jobs WHERE id = $1", [.int(id)]
                ).first)
            for (name, column) in [
                ("tokenize", "tokenize_ms"), ("batch_wait", "batch_wait_ms"),
                ("encode", "encode_ms"), ("handoff", "handoff_ms"), ("decode", "decode_ms"),
            ] {
                let stage = spans.first {
                    $0.parentSpanID == span.spanID && $0.operationName == name
                }
                let milliseconds = stage.map { Double($0.end - $0.start) / 1e6 } ?? 0
                let recorded: Double = try row.value(column)
                // A `real` of PostgreSQL holds seven digits.
                #expect(abs(milliseconds - recorded) <= 0.01 + recorded / 1e6, "\(name)")
            }
        }
        let words = spans.flatMap { span in
            var words = [span.operationName, span.status?.message ?? ""]
            span.attributes.forEach { words.append("\($0) \($1)") }
            return words
        }
        #expect(!words.contains { $0.contains("Rain") || $0.contains("town") })
    }

    @Test func wrongSettingsAreSaid() {
        #expect(throws: Refusals.self) {
            try DocumentWorker(settings: ["L2S_DATABASE_URL": "nonsense", "L2S_THREADS": "0"])
        }
    }
}
