import Foundation
import Jobs
import Pipeline
import Postgres
import PostgresJobs
import Programs

/// The engine as a worker has it, without a queue.
final class EngineRun: Sendable {
    struct Tokens: Encodable {
        var read = 0
        var written = 0
    }

    private let pipeline: Pipeline

    init(_ jobTypes: [JobType], modelsFolder: String, threads: Int) throws {
        pipeline = Pipeline(
            library: try ModelLibrary(jobTypes: jobTypes, modelsFolder: modelsFolder),
            // A worker's defaults, but for prompts that come again.
            settings: PipelineSettings(
                threads: threads, decoders: threads, decoderRows: 32, handoffCapacity: 256,
                promptCacheBytes: 0))
    }

    deinit { pipeline.stop() }

    /// - Returns: documents per second, from the first that is handed over to the last that is done.
    /// - Throws: when a document fails.
    func run(
        _ documents: [SourceDocument]
    ) async throws -> (documentsPerSecond: Double, tokens: Tokens) {
        let (finished, report) = AsyncStream.makeStream(of: FinishedDocument.self)
        let clock = ContinuousClock()
        let start = clock.now
        let pipeline = pipeline
        let feeding = Task {
            var rest = documents[...]
            while !rest.isEmpty {
                let room = await pipeline.waitForRoom()
                guard room > 0 else { return }
                let next = Array(rest.prefix(room))
                rest.removeFirst(next.count)
                pipeline.submit(next) { report.yield($0) }
            }
        }
        defer { feeding.cancel() }
        var tokens = Tokens()
        var left = documents.count
        for await document in finished {
            guard case .succeeded = document.outcome else {
                throw Failure("document \(document.id + 1) of a run: \(document.outcome)")
            }
            tokens.read += document.measurements.tokensIn
            tokens.written += document.measurements.tokensOut
            left -= 1
            if left == 0 { break }
        }
        return (Double(documents.count) / (start.duration(to: clock.now) / .seconds(1)), tokens)
    }
}

/// The queue that a worker beside this program serves.
struct ServedQueue {
    let connection: DatabaseConnection

    func prepare(_ jobTypes: [JobType]) async throws {
        _ = try await SchemaMigrator().migrate(connection)
        try await JobTypeTable.write(jobTypes, connection)
    }

    /// - Parameter check: called now and then; throws when nobody serves the queue any longer.
    /// - Returns: documents per second, from the first claim to the last result.
    /// - Throws: when a document fails.
    func run(_ documents: [SourceDocument], check: () throws -> Void) async throws -> Double {
        let ids: [Int64] = try await connection.query(
            """
            SELECT l2s.enqueue(job_type, body) AS id
            FROM unnest($1::text[], $2::text[]) AS source (job_type, body)
            """, [.texts(documents.map(\.jobType)), .texts(documents.map(\.text))]
        ).map { try $0.value("id") }
        let range: [Parameter] = [.int(Int(ids.min() ?? 0)), .int(Int(ids.max() ?? 0))]
        while true {
            try check()
            let count: Int = try await connection.query(
                "SELECT count(*) FROM l2s.result WHERE document_id BETWEEN $1 AND $2", range
            ).single()
            if count == documents.count { break }
            try await Task.sleep(for: .milliseconds(100))
        }
        let failed: Int = try await connection.query(
            """
            SELECT count(*) FROM l2s.result
            WHERE document_id BETWEEN $1 AND $2 AND NOT succeeded
            """, range
        ).single()
        guard failed == 0 else { throw Failure("\(failed) of \(documents.count) documents failed") }
        let seconds: Double = try await connection.query(
            """
            SELECT extract(epoch FROM max(finished_at) - min(claimed_at))::double precision
            FROM l2s.result WHERE document_id BETWEEN $1 AND $2
            """, range
        ).single()
        return Double(documents.count) / seconds
    }
}
