import Jobs
import Postgres
import PostgresJobs
import Testing

@Suite struct EnqueueTests {
    @Test func worksOverATable() async throws {
        let queue = try await QueueFixture()
        try await queue.sql.script(
            """
            CREATE TABLE articles (body text);
            INSERT INTO articles SELECT 'Article ' || i FROM generate_series(1, 50) i;
            """, name: "articles")
        let ids = try await queue.sql.query(
            "SELECT l2s.enqueue('translate', body, priority => 2) AS id FROM articles"
        ).map { try $0.value("id", as: Int.self) }
        #expect(Set(ids).count == 50)
        #expect(
            try await queue.count(
                "l2s.jobs WHERE job_type = 'translate' AND state = 'waiting' AND priority = 2")
                == 50)
    }

    @Test func isPartOfTheCallersTransaction() async throws {
        let queue = try await QueueFixture()
        try await queue.sql.query("BEGIN")
        try await queue.enqueue(3)
        try await queue.sql.query("ROLLBACK")
        #expect(try await queue.count("l2s.jobs") == 0)
    }

    @Test(arguments: [
        ("'nonsense', 'text'", "42704", "unknown job type 'nonsense'"),
        ("NULL, 'text'", "42704", "unknown job type NULL"),
        ("'summarize', NULL", "22004", "expected a document for job type summarize, got NULL"),
        ("'summarize', ''", "22023", "empty document for job type summarize"),
        (
            #"'summarize', E' \n\t\u00a0\u3000\u200b\ufeff\x01'"#, "22023",
            "empty document for job type summarize"
        ),
        ("'summarize', repeat('x', 20001)", "22001", "document too large for job type summarize"),
        (
            "'summarize', 'x', priority => 40000", "22003",
            "expected priority to be from -32767 to 32767, got 40000"
        ),
        ("'summarize', 'x', run_at => NULL", "22004", "expected run_at to be a time, got NULL"),
        (
            "'summarize', 'x', dedupe_key => repeat('k', 1001)", "22001",
            "expected dedupe_key to have 1 to 1000 bytes, got 1001"
        ),
        (
            "'summarize', 'x', dedupe_key => ''", "22001",
            "expected dedupe_key to have 1 to 1000 bytes, got 0"
        ),
    ])
    func refusesWhatNoWorkerCouldProcess(
        arguments: String, sqlState: String, message: String
    ) async throws {
        let queue = try await QueueFixture()
        let error = await #expect(throws: DatabaseError.self) {
            try await queue.sql.query("SELECT l2s.enqueue(\(arguments))")
        }
        #expect(error?.refusal?.sqlState == sqlState)
        #expect(error?.refusal?.message == message)
        #expect(try await queue.count("l2s.document") == 0)
    }

    /// "Empty" means the same everywhere: no program refuses a document as empty that SQL accepts.
    @Test func sqlAndProgramsAgreeOnWhatIsText() async throws {
        let queue = try await QueueFixture()
        let visible: String = try await queue.sql.query(
            """
            SELECT string_agg(CASE WHEN l2s.has_text(chr(i)) THEN '1' ELSE '0' END, '' ORDER BY i)
            FROM generate_series(1, 1114111) AS i WHERE i NOT BETWEEN 55296 AND 57343
            """
        ).single()
        let scalars = (1...UInt32(0x10FFFF)).compactMap(Unicode.Scalar.init)
        #expect(visible.utf8.count == scalars.count)
        let others = zip(visible.utf8, scalars).filter {
            ($0 == UInt8(ascii: "1")) != String($1).hasText
        }
        #expect(others.isEmpty, "\(others.prefix(9).map(\.1))")
        #expect(others.isEmpty && !"".hasText && " \u{200B}a".hasText)
        let long: Bool = try await queue.sql.query(
            "SELECT l2s.has_text(repeat(' ', 5000) || 'a') AND NOT l2s.has_text(repeat(' ', 5000))"
        ).single()
        #expect(long)
    }

    @Test func anUnknownJobTypeIsAnsweredWithTheKnownOnes() async throws {
        let queue = try await QueueFixture()
        let error = await #expect(throws: DatabaseError.self) {
            try await queue.sql.query("SELECT l2s.enqueue('nonsense', 'text')")
        }
        let refusal = try #require(error?.refusal)
        #expect(refusal.detail == "Known job types: other-reader, summarize, translate.")
        #expect(refusal.hint?.contains("l2s migrate --jobs DIR") == true)
    }

    @Test func aDedupeKeyIsEnqueuedOncePerJobType() async throws {
        let queue = try await QueueFixture()
        let rows = try await queue.sql.query(
            """
            SELECT l2s.enqueue('summarize', 'text ' || i, dedupe_key => 'k' || i % 2) AS id
            FROM generate_series(1, 6) AS i ORDER BY i
            """)
        let ids = try rows.map { try $0.value("id", as: Int64.self) }
        #expect(ids == [ids[0], ids[1], ids[0], ids[1], ids[0], ids[1]] && ids[0] != ids[1])
        let other: Int64 = try await queue.sql.query(
            "SELECT l2s.enqueue('translate', 'text', dedupe_key => 'k0')"
        ).single()
        #expect(!ids.contains(other))
        #expect(try await queue.count("l2s.queue") == 3)
    }

    @Test func theDeskEnqueuesInOrderWithAllOptions() async throws {
        let queue = try await QueueFixture()
        var second = NewJob(jobTypes: ["translate"], document: "two \"quoted\"")
        second.priority = 5
        second.runAt = "2999-01-01"
        second.metadata = #"{"source": "a"}"#
        let client = QueueClient(queue.sql)
        let ids = try await client.enqueue([
            NewJob(jobTypes: ["summarize"], document: "one"), second,
        ])
        let reports = try await client.reports(ids)
        #expect(reports.map(\.id) == ids)
        #expect(reports.map(\.source) == ["one", "two \"quoted\""])
        #expect(reports.map(\.state) == ["waiting", "delayed"])
        #expect(
            try await queue.count(
                "l2s.jobs WHERE metadata ->> 'source' = 'a' AND priority = 5") == 1)
        let status = try await client.status()
        #expect(status.map(\.name) == ["other-reader", "summarize", "translate"])
        #expect(status.map(\.waiting) == [0, 1, 0])
        #expect(status.map(\.delayed) == [0, 0, 1])
    }
}
