import Foundation
import Postgres
import TestSupport
import Testing

/// How many of the fault tests are run. They depend on the order of events, so they get the machine to
/// themselves: `swift test` alone leaves them out, `make test` runs the short ones afterwards.
enum FaultRun {
    /// Documents of the long storm; nil without the switch, 0 for the short tests alone.
    static let documents = ProcessInfo.processInfo.environment["L2S_FAULT_DOCUMENTS"]
        .flatMap { Int($0) }
    static var isLong: Bool { (documents ?? 0) > 0 }
}

extension Trait where Self == ConditionTrait {
    static var ifFaultsAreAskedFor: Self {
        .enabled(if: FaultRun.documents != nil, "make test-faults runs it")
    }
}

/// A database with documents that are quickly done, by the real engine on a tiny model, and workers
/// with short leases.
final class FaultStand {
    let database: TestDatabase
    private var connection: DatabaseConnection
    private let jobs: ScratchFolder
    /// Documents enqueued and committed.
    private(set) var documents = 0
    /// The number of different texts. They repeat, so that the outputs of one text can be compared.
    private static let texts = 200

    /// - Parameter restartable: whether the server is the test's own.
    convenience init(restartable: Bool = false) async throws {
        try await self.init(
            restartable ? try await TestDatabase.onOwnServer() : try await TestDatabase())
    }

    init(_ database: TestDatabase) async throws {
        self.database = database
        connection = try await database.connect()
        jobs = try ScratchFolder()
        for (name, tokens, minimum) in [("quick", 4, 0), ("twin", 6, 0), ("slow", 4000, 4000)] {
            try jobs.write(
                "\(name).yaml",
                """
                name: \(name)
                mode: llm
                llm: llm
                prompt: "{document}"
                limits:
                  source_tokens: 64
                  new_tokens: \(tokens)
                  minimum_new_tokens: \(minimum)
                  overflow: truncate
                batch:
                  wait: 2ms
                retry:
                  backoff: 100ms
                """.utf8)
        }
    }

    /// - Parameters:
    ///   - url: the address of the database; nil for its own.
    ///   - more: further arguments.
    func startWorker(
        url: String? = nil, _ more: [String] = [], environment: [String: String] = [:]
    ) throws -> WorkerProgram {
        try WorkerProgram(
            [
                "--database-url", url ?? database.connectionString, "--jobs", jobs.path,
                "--models", Fixtures.path("golden/t5-v1.0"), "--lease", "1s", "--threads", "1",
                "--decoders", "1", "--decoder-rows", "16", "--handoff-capacity", "32",
                "--http-address", "127.0.0.1:0", "--drain-timeout", "20s",
            ] + more, environment: environment)
    }

    func waitUntilRegistered(_ worker: WorkerProgram) async throws {
        try await eventually("worker \(worker.processID) registers; its log: \(worker.log)") {
            try await count("l2s.worker WHERE pid = \(worker.processID)") == 1
        }
    }

    /// Asks until there is an answer: the server may be gone for a while.
    @discardableResult
    func ask(_ sql: String, _ parameters: [Parameter] = []) async throws -> Rows {
        var answer: Rows?
        try await eventually("the server answers \(sql)") {
            do {
                try await connection.connect()
                answer = try await connection.query(sql, parameters)
                return true
            } catch let error as DatabaseError where error.isTransient {
                return false
            }
        }
        return try #require(answer)
    }

    func count(_ rows: String) async throws -> Int {
        try await ask("SELECT count(*) FROM \(rows)").single()
    }

    /// Enqueues two jobs for each text, which are read together.
    func enqueueTwins(_ texts: Int) async throws {
        let first = documents + 1
        documents += 2 * texts
        try await ask(
            """
            SELECT l2s.enqueue(
                ARRAY['quick', 'twin'], 'Twins ' || n % $3 || repeat(' and words', n % 7),
                dedupe_key => 'twins ' || n)
            FROM generate_series($1::integer, $2::integer) AS n
            """, [.int(first), .int(first + texts - 1), .int(Self.texts)])
    }

    /// Enqueues in one statement, which is repeated with the same keys when its outcome is unknown.
    func enqueue(_ count: Int, _ jobType: String = "quick") async throws {
        let first = documents + 1
        documents += count
        try await ask(
            """
            SELECT l2s.enqueue(
                $1, 'Document ' || n % $4 || repeat(' and words', n % 7), dedupe_key => n::text)
            FROM generate_series($2::integer, $3::integer) AS n
            """,
            [.text(jobType), .int(first), .int(first + count - 1), .int(Self.texts)])
    }

    func waitUntilEmpty(
        _ workers: [WorkerProgram], within limit: Duration = .seconds(240)
    ) async throws {
        try await eventually(
            "the queue is empty; logs: \(workers.map(\.log).joined(separator: "\n"))",
            within: limit
        ) { try await count("l2s.queue") == 0 }
    }

    /// Waits until a worker has written something and holds a batch again.
    func waitUntilInABatch(_ worker: WorkerProgram) async throws {
        try await eventually("worker is in the middle of a batch; its log: \(worker.log)") {
            try await count(
                """
                l2s.worker w JOIN l2s.lease l ON l.worker_id = w.id
                JOIN l2s.queue q ON q.lease_id = l.id
                WHERE w.pid = \(worker.processID)
                  AND EXISTS (SELECT FROM l2s.result r WHERE r.worker_id = w.id)
                """) > 0
        }
    }

    /// Stops them in order, as an operator would.
    func stop(_ workers: [WorkerProgram]) async {
        for worker in workers { worker.send(SIGTERM) }
        for worker in workers {
            #expect(await worker.waitForExit().code == 0, "\(worker.log)")
        }
    }

    /// What must hold once the queue is empty, whatever happened before.
    func expectEveryDocumentFinishedOnce(deadLetters: Int = 0) async throws {
        #expect(try await count("l2s.document") == documents)
        #expect(try await count("l2s.queue") == 0)
        #expect(try await count("l2s.lease") == 0)
        #expect(try await count("l2s.result") == documents)
        #expect(
            try await count("l2s.document d JOIN l2s.result r ON r.document_id = d.id")
                == documents)
        #expect(
            try await count("l2s.result WHERE NOT succeeded AND NOT cancelled") == deadLetters)
        try await expectNone(
            "result was written by a lease that had ended",
            "l2s.result r JOIN l2s.batch b ON b.lease_id = r.lease_id "
                + "WHERE r.finished_at > b.closed_at")
        try await expectNone(
            "attempt is miscounted",
            """
            l2s.result r LEFT JOIN LATERAL (
                SELECT count(*) AS errors, count(DISTINCT e.attempt) AS numbers,
                    coalesce(max(e.attempt), 0) AS last
                FROM l2s.attempt_error e WHERE e.document_id = r.document_id) AS e ON true
            WHERE NOT r.cancelled AND (e.errors <> e.numbers OR e.errors <> e.last
                OR r.attempt <> e.errors + r.succeeded::integer)
            """)
        try await expectNone(
            "crash is charged for a lease that did not run out",
            """
            l2s.attempt_error e JOIN l2s.batch b ON b.lease_id = e.lease_id
            WHERE e.kind = 'crashed' AND b.outcome <> 'expired'
            """)
        // The last stage is the rest of claim → finish. It would be negative if the measured stages
        // were too long.
        try await expectNone(
            "document's stages do not sum to claim → finish",
            """
            (SELECT r.*, extract(epoch FROM finished_at - claimed_at) * 1000 AS total
             FROM l2s.result r WHERE succeeded) AS r
            WHERE least(queue_ms, tokenize_ms, batch_wait_ms, encode_ms, handoff_ms, decode_ms) < 0
               OR writeback_ms < -0.02 * total
               OR abs(tokenize_ms + batch_wait_ms + encode_ms + handoff_ms + decode_ms
                      + writeback_ms - total) > 0.02 * total
            """)
        try await expectNone(
            "text has two different outputs",
            """
            (SELECT FROM l2s.document d JOIN l2s.result r ON r.document_id = d.id
             WHERE r.succeeded
             GROUP BY d.job_type, l2s.text_of(d) HAVING count(DISTINCT r.output) > 1) AS differing
            """)
    }

    private func expectNone(_ what: String, _ rows: String) async throws {
        let found = try await count(rows)
        #expect(found == 0, "\(what): \(found) times")
    }
}
