import Foundation
import Postgres
import TestSupport
import Testing

/// The commands that talk to the database, on a real one.
@Suite struct QueueCommandTests {
    private func l2s(
        _ arguments: [String], on database: TestDatabase, input: String = ""
    ) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(
            arguments, input: input.utf8,
            environment: ["L2S_DATABASE_URL": database.connectionString])
    }

    private func migrated() async throws -> TestDatabase {
        let database = try await TestDatabase(migrated: false)
        let ending = try await l2s(["migrate"], on: database)
        #expect(ending.status == 0, "\(ending.remarks)")
        return database
    }

    @Test func migratingTwiceIsMigratingOnce() async throws {
        let database = try await TestDatabase(migrated: false)
        let first = try await l2s(["migrate"], on: database)
        #expect(first.status == 0)
        #expect(first.output.contains("applied 0001_tables"))
        #expect(first.output.contains("job types: summarize-llm, summarize, translate"))
        let second = try await l2s(["migrate"], on: database)
        #expect(second.status == 0)
        #expect(second.output.contains("already"))
        #expect(!second.output.contains("applied"))
    }

    @Test func nothingIsMigratedWhenAJobFileIsWrong() async throws {
        let database = try await TestDatabase(migrated: false)
        let jobs = try ScratchFolder()
        try jobs.write("broken.yaml", "name: x\n".utf8)
        let ending = try await l2s(["migrate", "--jobs", jobs.path], on: database)
        #expect(ending.status == 64)
        #expect(ending.remarks.contains("broken.yaml"))
        let connection = try await database.connect()
        let exists: Bool = try await connection.query(
            "SELECT to_regclass('l2s.migration') IS NOT NULL"
        ).single()
        #expect(!exists)
    }

    @Test func aSchemaOfAnotherVersionSaysWhatToDo() async throws {
        let empty = try await TestDatabase(migrated: false)
        let older = try await l2s(["status"], on: empty)
        #expect(older.status == 78)
        #expect(older.remarks.contains("run l2s migrate"))
        let database = try await migrated()
        let connection = try await database.connect()
        try await connection.query(
            "INSERT INTO l2s.migration (version, name, checksum) VALUES (99, '0099_new', 'x')")
        for command in ["status", "migrate"] {
            let newer = try await l2s([command], on: database)
            #expect(newer.status == 78)
            #expect(newer.remarks.contains("use a newer l2s"))
        }
    }

    @Test func anUnreachableDatabaseIsNamedWithoutItsPassword() async throws {
        let ending = try await BuiltProgram("l2s").run(
            ["status", "--database-url", "postgresql://me:hunter2@127.0.0.1:1/none"])
        #expect(ending.status == 69)
        #expect(ending.remarks.contains("port 1"))
        #expect(ending.remarks.contains("--database-url"))
        #expect(!ending.remarks.contains("hunter2"))
    }

    @Test func withoutADatabaseTheFlagIsNamed() async throws {
        let ending = try await BuiltProgram("l2s").run(["status"])
        #expect(ending.status == 64)
        #expect(ending.remarks.contains("L2S_DATABASE_URL"))
    }

    @Test func documentsAreEnqueuedFromFilesLinesAndJSON() async throws {
        let database = try await migrated()
        let folder = try ScratchFolder()
        let files = [
            try folder.write("a.txt", "one\n\ntext".utf8), try folder.write("b", "two".utf8),
        ]
        let byFile = try await l2s(["enqueue", "--job-type", "summarize"] + files, on: database)
        #expect(byFile.status == 0, "\(byFile.remarks)")
        #expect(byFile.output == "1\n2\n")
        let byLine = try await l2s(
            ["enqueue", "--job-type", "translate-en-it", "--lines", "--priority", "3"],
            on: database, input: "three\nfour\n")
        #expect(byLine.output == "3\n4\n")
        let byJSON = try await l2s(
            ["enqueue", "--job-type", "summarize", "--json-lines"], on: database,
            input: """
                {"document": "five \\"quoted\\"", "dedupe_key": "k"}
                {"document": "six", "job_type": "translate-en-it", "priority": -2}
                {"document": "seven", "dedupe_key": "k", "run_at": "2099-01-01"}
                """)
        #expect(byJSON.output == "5\n6\n5\n", "\(byJSON.remarks)")
        let asJSON = try await l2s(
            ["enqueue", "--job-type", "summarize", "--lines", "--json", "--run-at", "2099-01-01"],
            on: database, input: "eight\nnine\n")
        #expect(asJSON.output == "{\"ids\":[8,9]}\n")
        try await database.connect().query("DELETE FROM l2s.document WHERE id IN (8, 9)")

        let connection = try await database.connect()
        let stored = try await connection.query(
            """
            SELECT d.body || '|' || j.job_type || '|' || j.priority AS row
            FROM l2s.jobs j JOIN l2s.document d USING (id) ORDER BY j.id
            """)
        #expect(
            try stored.map { try $0.value("row", as: String.self) } == [
                "one\n\ntext|summarize|0", "two|summarize|0", "three|translate-en-it|3",
                "four|translate-en-it|3", "five \"quoted\"|summarize|0", "six|translate-en-it|-2",
            ])
    }

    /// Some editors put a byte order mark in front of a file; Windows writes UTF-16.
    @Test func aMarkInFrontOfAFileIsNoTextAndOtherEncodingsAreRefused() async throws {
        let database = try await migrated()
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let folder = try ScratchFolder()
        let file = try folder.write("a.txt", mark + "whole".utf8)
        for (arguments, input) in [
            ([file], ""), (["--lines"], "line"), (["--json-lines"], "{\"document\": \"JSON\"}"),
        ] {
            let ending = try await BuiltProgram("l2s").run(
                ["enqueue", "--job-type", "summarize"] + arguments, input: mark + input.utf8,
                environment: ["L2S_DATABASE_URL": database.connectionString])
            #expect(ending.status == 0, "\(ending.remarks)")
        }
        let bodies = try await database.connect().query(
            "SELECT body FROM l2s.document ORDER BY id"
        ).map { try $0.value("body", as: String.self) }
        #expect(bodies == ["whole", "line", "JSON"])
        for (arguments, bytes) in [
            (["--lines"], [0xFF, 0xFE] + Array("a\0b\0".utf8)), (["--lines"], [0x61, 0xE9, 0x0A]),
            (["--json-lines"], [0xFE, 0xFF] + Array("\0{\0}".utf8)),
        ] as [([String], [UInt8])] {
            let ending = try await BuiltProgram("l2s").run(
                ["enqueue", "--job-type", "summarize"] + arguments, input: bytes,
                environment: ["L2S_DATABASE_URL": database.connectionString])
            #expect(ending.status == 2)
            #expect(ending.remarks.contains("standard input:1: expected"), "\(ending.remarks)")
        }
    }

    /// A pipe may give the mark a byte at a time.
    @Test func aMarkThatComesInPartsIsNoText() async throws {
        let database = try await migrated()
        let folder = try ScratchFolder()
        let path = folder.path + "/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        // A pipe that is opened for both waits for nobody.
        let pipe = open(path, O_RDWR | O_CLOEXEC)
        try #require(pipe >= 0)
        let program = try BuiltProgram("l2s").start(
            ["enqueue", "--job-type", "summarize", path],
            environment: ["L2S_DATABASE_URL": database.connectionString])
        for part in [[0xEF], [0xBB], [0xBF], Array("text".utf8)] as [[UInt8]] {
            #expect(write(pipe, part, part.count) == part.count)
            try await eventually("the program has read \(part)") {
                var left: Int32 = 0
                return ioctl(pipe, UInt(FIONREAD), &left) == 0 && left == 0
            }
        }
        close(pipe)
        let ending = try await program.ending()
        #expect(ending.status == 0, "\(ending.remarks)")
        let body: String = try await database.connect().query("SELECT body FROM l2s.document")
            .single()
        #expect(body == "text")
    }

    @Test func metadataIsKeptAsItWas() async throws {
        let database = try await migrated()
        let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let ending = try await l2s(
            [
                "enqueue", "--job-type", "summarize", "--json-lines", "--metadata",
                "{\"traceparent\": \"\(context)\"}",
            ], on: database,
            input: """
                {"document": "one", "metadata": {"n": [1, 0.1, 12345678901234567890.5, true, null], "ü": {"": "\\n"}}}
                {"document": "two"}
                """)
        #expect(ending.status == 0, "\(ending.remarks)")
        let stored = try await database.connect().query(
            """
            SELECT id = 1 AND metadata = '{"n": [1, 0.1, 12345678901234567890.5, true, null], "ü": {"": "\\n"}}'
                OR id = 2 AND metadata ->> 'traceparent' = $1 AS same FROM l2s.jobs
            """, [.text(context)])
        #expect(try stored.map { try $0.value("same", as: Bool.self) } == [true, true])
        let refused = try await l2s(
            ["enqueue", "--job-type", "summarize", "--metadata", "[]", "-"], on: database)
        #expect(refused.status == 64)
        #expect(refused.remarks.contains("--metadata"))
    }

    @Test func aFileThatIsNotThereIsSaid() async throws {
        let ending = try await l2s(
            ["enqueue", "--job-type", "summarize", "/nowhere.txt"], on: try await migrated())
        #expect(ending.status == 2)
        #expect(ending.remarks == "l2s: cannot read /nowhere.txt: No such file or directory\n")
    }

    @Test func statusCountsWhatWaits() async throws {
        let database = try await migrated()
        _ = try await l2s(
            ["enqueue", "--job-type", "summarize", "--lines"], on: database, input: "a\nb\nc\n")
        let ending = try await l2s(["status", "--json"], on: database)
        #expect(ending.status == 0)
        struct Report: Decodable {
            struct JobType: Decodable {
                let name: String
                let waiting, succeeded: Int
            }
            let schema_version: Int
            let job_types: [JobType]
            let workers: [[String: String]]
        }
        let report = try JSONDecoder().decode(Report.self, from: Data(ending.output.utf8))
        #expect(report.schema_version >= 4)
        #expect(report.job_types.count == 4)
        #expect(report.job_types.first { $0.name == "summarize" }?.waiting == 3)
        #expect(report.workers.isEmpty)
        let text = try await l2s(["status"], on: database)
        #expect(text.output.contains("no worker is alive: start l2s-worker"))
    }

    /// Each refusal names the line; nothing of the same call is enqueued, nothing of a text shown.
    @Test(arguments: [
        (["--lines"], "secret\n\u{3000} \nsecret", "standard input:2: empty document"),
        (["--lines"], "fine\nsecret\0text", "standard input:2: expected a text that"),
        (["--json-lines"], "{\"document\": \"fine\"}\nsecret", "standard input:2: expected a JSON"),
        (
            ["--json-lines"],
            "{\"document\": \"fine\"}\n{\"document\": \"fine\", \"group\": \"secret\\u0000\"}",
            "standard input:2: expected a text that"
        ),
        (
            ["--json-lines"], "{\"document\": \"secret\", \"job_type\": \"none\"}",
            "standard input:1: unknown job type 'none'. Known job types: summarize"
        ),
        (
            ["--json-lines"],
            "{\"document\": \"fine\"}\n{\"document\": \"secret\", \"metadata\": [\"secret\"]}",
            "standard input:2: expected JSON whose \"metadata\" is a JSON object"
        ),
        (
            ["--json-lines"],
            "{\"document\": \"secret\", \"metadata\": {\"a\": {\"secret\": \"\\u0000\"}}}",
            "standard input:1: expected JSON whose \"metadata\" is a JSON object without U+0000"
        ),
    ])
    func aRefusedDocumentLeavesNothingBehind(
        _ flags: [String], _ input: String, _ words: String
    ) async throws {
        let database = try await migrated()
        let ending = try await l2s(
            ["enqueue", "--job-type", "summarize"] + flags, on: database, input: input)
        #expect(ending.status == 2)
        #expect(ending.remarks.contains(words), "\(ending.remarks)")
        #expect(!ending.remarks.contains("secret"))
        #expect(ending.output.isEmpty)
        let connection = try await database.connect()
        let count: Int = try await connection.query("SELECT count(*) FROM l2s.document").single()
        #expect(count == 0)
    }

    /// It does not matter which of the two transactions the server ends at the deadlock.
    @Test func keysThatAnotherTakesInAnotherOrderAreHandedInAgain() async throws {
        let database = try await migrated()
        let (other, sql) = (try await database.connect(), try await database.connect())
        let lines = """
            {"document": "x", "dedupe_key": "a"}
            {"document": "y", "dedupe_key": "b"}
            """
        func take(_ key: String) async throws {
            try await other.query(
                "SELECT l2s.enqueue('summarize', 'other', dedupe_key => $1)", [.text(key)])
        }
        try await other.query("SET deadlock_timeout = '1min'")
        try await other.query("BEGIN")
        try await take("b")
        let program = try BuiltProgram("l2s").start(
            ["enqueue", "--job-type", "summarize", "--json-lines"], input: lines.utf8,
            environment: ["L2S_DATABASE_URL": database.connectionString])
        try await eventually("the program has one key and waits for the other") {
            try await sql.query(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            ).single() == 1
        }
        do {
            try await take("a")
            try await other.query("COMMIT")
        } catch let error as DatabaseError where error.refusal?.sqlState == "40P01" {
            try await other.query("ROLLBACK")
        }
        let ending = try await program.ending()
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(ending.output.split(separator: "\n").count == 2)
        #expect(try await sql.query("SELECT count(*) FROM l2s.jobs").single() == 2)
    }

    @Test func theDoctorFindsWhatDiffersBetweenFilesAndDatabase() async throws {
        let database = try await migrated()
        let well = try await l2s(["doctor"], on: database)
        #expect(well.status == 0, "\(well.output)")
        #expect(well.output.contains("the database knows all 4"))
        #expect(well.output.contains("none is alive: start l2s-worker"))
        let connection = try await database.connect()
        try await connection.query("DELETE FROM l2s.job_type WHERE name = 'summarize'")
        let ill = try await l2s(["doctor"], on: database)
        #expect(ill.status == 1)
        #expect(ill.output.contains("does not know summarize: run l2s migrate"))
    }
}
