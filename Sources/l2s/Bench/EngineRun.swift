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
            settings: PipelineSettings(threads: threads, promptCacheBytes: 0))
    }

    deinit { pipeline.stop() }

    /// What a run came to.
    struct Run {
        /// From the first document that is handed over to the last that is done.
        var documentsPerSecond = 0.0
        var tokens = Tokens()
        /// Time of all threads in the encoder and in decoders.
        var reading = Duration.zero
        var writing = Duration.zero
    }

    /// - Throws: when a document fails.
    func run(_ documents: [SourceDocument]) async throws -> Run {
        let (finished, report) = AsyncStream.makeStream(of: FinishedDocument.self)
        let clock = ContinuousClock()
        let start = clock.now
        let pipeline = pipeline
        let before = pipeline.statistics
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
        var run = Run()
        var left = documents.count
        for await document in finished {
            guard case .succeeded = document.outcome else {
                throw Failure("document \(document.id + 1) of a run: \(document.outcome)")
            }
            run.tokens.read += document.measurements.tokensIn
            run.tokens.written += document.measurements.tokensOut
            left -= 1
            if left == 0 { break }
        }
        run.documentsPerSecond =
            Double(documents.count) / (start.duration(to: clock.now) / .seconds(1))
        let after = pipeline.statistics
        run.reading = after.encoding - before.encoding
        run.writing = after.decodingTime - before.decodingTime
        return run
    }
}

/// The queue that a worker beside this program serves.
struct ServedQueue {
    let connection: DatabaseConnection

    func prepare(_ jobTypes: [JobType]) async throws {
        _ = try await SchemaMigrator().migrate(connection)
        try await JobTypeTable.write(jobTypes, connection)
    }

    /// - Parameters:
    ///   - outputs: jobs that each document gets: its job type and copies of it.
    ///   - check: called now and then; throws when nobody serves the queue any longer.
    /// - Returns: jobs per second, from the first claim to the last result.
    /// - Throws: when a document fails.
    func run(
        _ documents: [SourceDocument], outputs: Int = 1, check: () throws -> Void
    ) async throws -> Double {
        let names = documents.map { document in
            (1...outputs).map { JobTypeCopies.name(document.jobType, $0) }.joined(separator: " ")
        }
        let ids: [Int64] = try await connection.query(
            """
            SELECT unnest(l2s.enqueue(string_to_array(names, ' '), body)) AS id
            FROM unnest($1::text[], $2::text[]) AS source (names, body)
            """, [.texts(names), .texts(documents.map(\.text))]
        ).map { try $0.value("id") }
        let range: [Parameter] = [.int(Int(ids.min() ?? 0)), .int(Int(ids.max() ?? 0))]
        while true {
            try check()
            let count: Int = try await connection.query(
                "SELECT count(*) FROM l2s.result WHERE document_id BETWEEN $1 AND $2", range
            ).single()
            if count == ids.count { break }
            try await Task.sleep(for: .milliseconds(100))
        }
        let failed: Int = try await connection.query(
            """
            SELECT count(*) FROM l2s.result
            WHERE document_id BETWEEN $1 AND $2 AND NOT succeeded
            """, range
        ).single()
        guard failed == 0 else { throw Failure("\(failed) of \(ids.count) documents failed") }
        let seconds: Double = try await connection.query(
            """
            SELECT extract(epoch FROM max(finished_at) - min(claimed_at))::double precision
            FROM l2s.result WHERE document_id BETWEEN $1 AND $2
            """, range
        ).single()
        return Double(ids.count) / seconds
    }
}
