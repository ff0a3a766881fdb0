import Foundation
import Postgres
import TestSupport

/// A database with sample documents, and workers on the job types and models of the fixtures.
struct TestStand {
    let database: TestDatabase
    let sql: DatabaseConnection

    /// - Parameter restartable: whether the server is the test's own.
    init(restartable: Bool = false) async throws {
        try await self.init(
            restartable ? try await TestDatabase.onOwnServer() : try await TestDatabase())
    }

    /// Connects anew.
    init(_ database: TestDatabase) async throws {
        self.database = database
        sql = try await database.connect()
    }

    /// Small batches and a short lease, so that there is much to go wrong.
    func startWorker(_ more: String...) throws -> WorkerProgram {
        try WorkerProgram(
            [
                "--database-url", database.connectionString, "--lease", "2s", "--threads", "1",
                "--decoders", "1", "--decoder-rows", "4", "--handoff-capacity", "8",
                "--drain-timeout", "20s",
            ] + more)
    }

    /// A worker writes the job types into the database when it registers.
    func waitUntilRegistered(_ worker: WorkerProgram) async throws {
        try await eventually("worker \(worker.processID) registers; its log: \(worker.log)") {
            try await count("l2s.worker WHERE pid = \(worker.processID)") == 1
        }
    }

    /// `count` sample documents of random job types; the same text may come again.
    func enqueue(
        _ count: Int, group: String? = nil, using random: inout SeededRandom
    ) async throws {
        let folder = Self.root.appending(path: "jobs/samples/summarize")
        let texts = try FileManager.default.contentsOfDirectory(atPath: folder.path())
            .filter { $0.hasSuffix(".txt") }.sorted()
            .map { try String(contentsOf: folder.appending(path: $0), encoding: .utf8) }
        let jobTypes = ["summarize", "translate-en-it", "summarize-llm"]
        let types = (0..<count).map { _ in jobTypes.randomElement(using: &random) }
        let bodies = (0..<count).map { _ in texts.randomElement(using: &random) }
        try await sql.query(
            """
            SELECT l2s.enqueue(d.job_type, d.body, "group" => $3)
            FROM unnest($1::text[], $2::text[]) AS d(job_type, body)
            """, [.texts(types), .texts(bodies), .text(group)])
    }

    func count(_ rows: String) async throws -> Int {
        try await sql.query("SELECT count(*) FROM \(rows)").single()
    }

    /// Whether a worker has a batch of which a part is written.
    func isInTheMiddleOfABatch(_ worker: WorkerProgram) async throws -> Bool {
        try await count(
            """
            l2s.worker w JOIN l2s.lease l ON l.worker_id = w.id
            JOIN l2s.result r ON r.lease_id = l.id WHERE w.pid = \(worker.processID)
            """) > 0
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
}
