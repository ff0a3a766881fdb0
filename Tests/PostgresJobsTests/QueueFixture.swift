import Jobs
import Postgres
import PostgresJobs
import TestSupport

/// A migrated database with job types, and short forms of what the tests do to it.
struct QueueFixture {
    let database: TestDatabase
    /// A connection to look at the tables and to prepare them.
    let sql: DatabaseConnection

    init(
        _ database: TestDatabase? = nil, attempts: Int = 3, backoff: Duration = .zero
    ) async throws {
        if let database {
            self.database = database
        } else {
            self.database = try await TestDatabase()
        }
        sql = try await self.database.connect()
        try await JobTypeTable.write(
            [
                .fixture("summarize", attempts: attempts, backoff: backoff),
                .fixture("translate", attempts: attempts, backoff: backoff),
                .fixture("other-reader", llm: "large-b"),
            ], sql)
    }

    func worker() async throws -> FixtureWorker {
        try await FixtureWorker(database)
    }

    /// A worker whose own sessions have written nothing yet.
    func untriedWorker() async throws -> FixtureWorker {
        let id: Int64 = try await sql.query("SELECT l2s.register('test', 7, '0')").single()
        return FixtureWorker(unregistered: try database.settings(), WorkerID(id))
    }

    @discardableResult
    func enqueue(_ count: Int, _ jobType: String = "summarize") async throws -> [Int64] {
        try await sql.query(
            "SELECT l2s.enqueue($1, 'text ' || i) AS id FROM generate_series(1, $2) AS i",
            [.text(jobType), .int(count)]
        ).map { try $0.value("id") }
    }

    /// Lets every lease run out, as if the server had started long ago.
    func expireLeases() async throws {
        try await sql.query(
            "UPDATE l2s.lease SET expires_at = '-infinity', duration = '-1000 years'")
    }

    /// Sets how long documents are kept. It allows less than an hour, which the table's check
    /// refuses.
    func keep(_ keep: String, partEvery: String = "0") async throws {
        try await sql.query(
            """
            ALTER TABLE l2s.setting DROP CONSTRAINT IF EXISTS keep_is_sensible,
                DROP CONSTRAINT IF EXISTS part_every_is_sensible
            """)
        try await sql.query(
            "UPDATE l2s.setting SET keep = $1::interval, part_every = $2::interval",
            [.text(keep), .text(partEvery)])
    }

    /// Maintains until a part is dropped. That may take several rounds, because a vacuum of the
    /// server may use the part.
    ///
    /// - Returns: a line for each thing that was done.
    @discardableResult
    func drop(part number: Int) async throws -> [String] {
        var done: [String] = []
        try await eventually("part \(number) is dropped") {
            done += try await QueueClient(sql).maintain().done
            return try await count("l2s.part WHERE number = \(number)") == 0
        }
        return done
    }

    func jobs() async throws -> Rows {
        try await sql.query("SELECT * FROM l2s.jobs ORDER BY id")
    }

    func count(_ query: String) async throws -> Int {
        try await sql.query("SELECT count(*) FROM \(query)").single()
    }
}

/// A store and a worker registered in it.
struct FixtureWorker {
    let store: PostgresJobStore
    let id: WorkerID

    init(_ database: TestDatabase) async throws {
        try await self.init(database.settings())
    }

    init(_ settings: ConnectionSettings) async throws {
        var settings = settings
        settings.applicationName = "fixture worker"
        store = PostgresJobStore(settings)
        id = try await store.register(
            WorkerDescription(host: "test", processID: 7, version: "0"), jobTypes: [])
    }

    init(unregistered settings: ConnectionSettings, _ id: WorkerID) {
        store = PostgresJobStore(settings)
        self.id = id
    }

    func claim(
        _ documents: Int = 256, tokens: Int = 100_000, encoder: String = "large",
        jobTypes: [String] = ["summarize", "translate"], lease: Duration = .seconds(30),
        fields: [String] = []
    ) async throws -> Claim? {
        try await store.claim(
            ClaimRequest(
                worker: id, encoder: encoder, jobTypes: jobTypes, maximumDocuments: documents,
                maximumTokens: tokens, leaseDuration: lease, fields: fields))
    }

    @discardableResult
    func complete(_ claim: Claim, _ outcome: Outcome = .done) async throws -> CompletionReceipt {
        try await store.complete(id, claim.lease, claim.documents.map { .fixture($0.id, outcome) })
    }
}

/// Repeats a call until the store is available. The store itself paces the calls.
func insist<Result>(_ body: () async throws -> Result) async throws -> Result {
    while true {
        do { return try await body() } catch JobStoreError.unavailable {}
    }
}

extension Outcome {
    static let done = Outcome.succeeded(output: "out", tokens: [1, 2])
}

extension FinishedDocument {
    static func fixture(_ id: Int64, _ outcome: Outcome) -> FinishedDocument {
        var measurements = Measurements()
        measurements.mode = "hybrid"
        measurements.model = "small"
        measurements.tokensIn = 12
        measurements.tokensOut = 2
        measurements.cutOffParts = 2
        measurements.encodeSource = .batch(4)
        measurements.stages.tokenize = .microseconds(10)
        measurements.stages.batchWait = .microseconds(20)
        measurements.stages.encode = .microseconds(30)
        measurements.stages.handoff = .microseconds(40)
        measurements.stages.decode = .microseconds(50)
        return FinishedDocument(id: id, outcome: outcome, measurements: measurements)
    }
}

extension JobType {
    static func fixture(
        _ name: String, llm: String = "large", attempts: Int = 3, backoff: Duration = .zero
    ) -> JobType {
        guard let prompt = PromptTemplate("summarize: {document}") else {
            preconditionFailure("the fixture's prompt has no placeholder")
        }
        return JobType(
            name: name, mode: .hybrid, llm: llm, slm: "small", prompt: prompt,
            limits: Limits(
                documentBytes: 20_000, sourceTokens: 512, newTokens: 64, minimumNewTokens: 0,
                overflow: .fail),
            batch: BatchLimits(documents: 64, paddedTokens: 8192, wait: .milliseconds(20)),
            retry: RetryPolicy(
                maximumAttempts: attempts, backoff: backoff, maximumBackoff: .seconds(60)),
            timeout: .seconds(60))
    }
}
