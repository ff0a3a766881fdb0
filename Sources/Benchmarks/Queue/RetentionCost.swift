internal import Postgres
internal import Synchronization

/// How far retention slows down documents that come and go at a steady rate. It deletes the keys of
/// an old part and drops the part.
package struct RetentionCost: Sendable, Encodable {
    /// Milliseconds, as clients on the same machine see them.
    package struct Times: Sendable, Encodable {
        package let enqueue: Percentiles
        package let claim: Percentiles
        package let finish: Percentiles
    }

    package let keys: Int
    /// Documents per second.
    package let rate: Int
    /// Without retention.
    package let alone: Times
    /// While retention works.
    package let beside: Times
    /// Milliseconds of each call of `l2s.maintain`, until nothing was left to do.
    package let pieces: Percentiles
    /// How long all calls took together.
    package let seconds: Double

    /// - Parameters:
    ///   - keys: how many documents of the old part have a key.
    ///   - duration: the time of the measurement without retention.
    package init(
        _ server: BenchServer, keys: Int, rate: Int, duration: Duration
    ) async throws {
        let database = try await server.database("retention")
        try await Self.fill(database, keys: keys)
        let chores = try await database.connect()
        self.keys = keys
        self.rate = rate
        let load = try await RetentionLoad(database, rate: rate)
        alone = try await load.times { try await Task.sleep(for: duration) }
        var times: [Double] = []
        let start = ContinuousClock.now
        beside = try await load.times {
            var isMore = true
            while isMore {
                let begun = ContinuousClock.now
                let rows = try await chores.query("SELECT * FROM l2s.maintain(true)")
                times.append(begun.duration(to: .now) / .milliseconds(1))
                let isKept = try await database.count("l2s.part WHERE number = 0") == 1
                isMore = try isKept || rows.contains { try $0.value("more") }
            }
        }
        seconds = start.duration(to: .now) / .seconds(1)
        pieces = Percentiles(times)
        await chores.close()
        await database.sql.close()
        try await server.drop("retention")
    }

    /// Makes a part that was closed three hours ago, with some documents and the keys of many, and
    /// the part after it.
    private static func fill(_ database: BenchDatabase, keys: Int) async throws {
        try await database.fill(finished: 100_000)
        try await database.sql.query("SELECT l2s.maintain(true)")
        try await database.sql.query(
            """
            INSERT INTO l2s.dedupe (job_type, producer, key, document_id)
            SELECT t.id, '', 'article-' || n, n
            FROM generate_series(1, $1) AS n, l2s.job_type t WHERE t.name = 'echo'
            """, [.int(keys)])
        try await database.sql.query("SELECT setval('l2s.document_id', 100000000)")
        try await database.sql.query("SELECT l2s.begin_parts('1 week')")
        try await database.sql.query(
            "UPDATE l2s.part SET closed_at = now() - interval '3 hours' WHERE number = 0")
        try await database.sql.query(
            "UPDATE l2s.result SET finished_at = finished_at - interval '3 hours'")
        try await database.sql.query("UPDATE l2s.setting SET keep = '1 hour'")
        try await database.settle()
    }
}

/// A producer of documents with keys, and a worker that takes them as they come.
private struct RetentionLoad {
    private let database: BenchDatabase
    private let rate: Int
    private let timer: BatchTimer

    init(_ database: BenchDatabase, rate: Int) async throws {
        self.database = database
        self.rate = rate
        timer = try await BatchTimer(database, batch: 64)
    }

    /// - Returns: what was measured while `body` ran.
    func times(during body: () async throws -> Void) async throws -> RetentionCost.Times {
        let end = End()
        async let enqueues = produce(until: end)
        async let moves = work(until: end)
        do {
            defer { end.isOver.store(true, ordering: .relaxed) }
            try await body()
        }
        let times = try await moves
        return RetentionCost.Times(
            enqueue: Percentiles(try await enqueues), claim: Percentiles(times.claim),
            finish: Percentiles(times.finish))
    }

    private func produce(until end: End) async throws -> [Double] {
        let producer = try await database.connect()
        var times: [Double] = []
        let start = ContinuousClock.now
        while !end.isOver.load(ordering: .relaxed) {
            // After a document that was late, the next follows at once.
            try await Task.sleep(until: start + .seconds(1) / rate * times.count)
            let begun = ContinuousClock.now
            try await producer.query(
                """
                SELECT l2s.enqueue('echo', repeat('a document ', 20),
                    dedupe_key => gen_random_uuid()::text)
                """)
            times.append(begun.duration(to: .now) / .milliseconds(1))
        }
        await producer.close()
        return times
    }

    private func work(until end: End) async throws -> BatchTimer.Times {
        var times = BatchTimer.Times()
        while !end.isOver.load(ordering: .relaxed) {
            let more = try await timer.run(1, refilling: false)
            times.claim += more.claim
            times.finish += more.finish
            try await Task.sleep(for: .milliseconds(50))
        }
        return times
    }

    /// Set when the measurement is over.
    private final class End: Sendable {
        let isOver = Atomic(false)
    }
}
