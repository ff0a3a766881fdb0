import Postgres
import TestSupport
import Testing

@Suite struct ConnectionTests {
    @Test func parametersComeBackAsTheyWereSent() async throws {
        let connection = try await TestDatabase(migrated: false).connect()
        let awkward = #"a "quoted" \ back'slash, {brace} NULL "# + "\n\t→ 🦉"
        let rows = try await connection.query(
            """
            SELECT $1::bigint AS i, $2::double precision AS d, $3::boolean AS b, $4 AS t,
                   $5::text AS n, ($6::text[])[2] AS e, ($6::text[])[3] IS NULL AS missing,
                   ($7::bigint[])[1] AS l, extract(epoch FROM $8::interval) AS s
            """,
            [
                .int(Int64.min), .double(0.1), .bool(true), .text(awkward), .null,
                .texts(["", awkward, nil]), .ints([-7]), .duration(.milliseconds(-1500)),
            ])
        let row = try #require(rows.first)
        #expect(try row.value("i") == Int64.min)
        #expect(try row.value("d") == 0.1)
        #expect(try row.value("b") == true)
        #expect(try row.value("t") == awkward)
        #expect(try row.optional("n", as: String.self) == nil)
        #expect(try row.value("e") == awkward)
        #expect(try row.value("missing") == true)
        #expect(try row.value("l") == -7)
        #expect(try row.value("s") == -1.5)
    }

    /// The server answers that the rows are inserted. Then the commit is refused.
    @Test func whatIsNotCommittedIsNotDone() async throws {
        let connection = try await TestDatabase(migrated: false).connect()
        try await connection.query(
            "CREATE TABLE once (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        let error = await #expect(throws: DatabaseError.self) {
            try await connection.query("INSERT INTO once VALUES (1), (1)")
        }
        #expect(error?.description.contains("duplicate key") == true)
        #expect(try await connection.query("SELECT count(*) FROM once").single() == 0)
    }

    @Test func refusesATextThatLibpqWouldCutOff() async throws {
        let connection = try await TestDatabase(migrated: false).connect()
        let error = await #expect(throws: DatabaseError.self) {
            try await connection.query("SELECT $1", [.text("a\0b")])
        }
        #expect(
            error?.description.contains("parameter 1 of SELECT $1: expected a text without") == true
        )
    }

    @Test func valuesOfTheWrongKindAreNamedWithoutBeingQuoted() async throws {
        let connection = try await TestDatabase(migrated: false).connect()
        let rows = try await connection.query("SELECT 'secret' AS word, NULL::bigint AS hole")
        let row = try #require(rows.first)
        #expect(
            throws: DatabaseError.unexpectedValue(
                column: "word", expected: "an integer", found: "a text of 6 bytes")
        ) { try row.value("word", as: Int.self) }
        #expect(
            throws: DatabaseError.unexpectedValue(
                column: "hole", expected: "an integer", found: "NULL")
        ) { try row.value("hole", as: Int.self) }
        #expect(
            throws: DatabaseError.unexpectedValue(
                column: "none", expected: "a text", found: "no such column")
        ) { try row.value("none", as: String.self) }
    }

    @Test func aRefusalCarriesTheServersWords() async throws {
        let connection = try await TestDatabase(migrated: false).connect()
        let error = await #expect(throws: DatabaseError.self) {
            try await connection.script(
                "DO $$BEGIN RAISE 'no' USING ERRCODE = '22023', DETAIL = 'd', HINT = 'h'; END$$",
                name: "a test")
        }
        let refusal = try #require(error?.refusal)
        #expect(refusal.sqlState == "22023")
        #expect((refusal.message, refusal.detail, refusal.hint) == ("no", "d", "h"))
        #expect(error?.isTransient == false)
        #expect(await connection.isConnected)
    }

    @Test func aTransactionThatThrowsLeavesNothing() async throws {
        struct Stop: Error {}
        let connection = try await TestDatabase(migrated: false).connect()
        try await connection.query("CREATE TABLE t (i integer)")
        await #expect(throws: Stop.self) {
            try await connection.transaction { connection in
                try connection.query("INSERT INTO t VALUES (1)")
                throw Stop()
            }
        }
        try await connection.transaction { _ = try $0.query("INSERT INTO t VALUES (2)") }
        #expect(try await connection.query("SELECT sum(i) FROM t").single() == 2)
    }

    @Test func statementsEndAtTheirTimeout() async throws {
        var settings = try await TestDatabase(migrated: false).settings()
        settings.statementTimeout = .milliseconds(20)
        let connection = DatabaseConnection(settings)
        try await connection.connect()
        let error = await #expect(throws: DatabaseError.self) {
            try await connection.query("SELECT pg_sleep(30)")
        }
        #expect(error?.refusal?.sqlState == "57014")
        #expect(error?.isTransient == true)
    }

    @Test func aBrokenConnectionIsToldAndComesBack() async throws {
        let database = try await TestDatabase(migrated: false)
        let connection = try await database.connect()
        let process: Int = try await connection.query("SELECT pg_backend_pid()").single()
        try await database.connect().query("SELECT pg_terminate_backend($1)", [.int(process)])
        let error = await #expect(throws: DatabaseError.self) {
            try await connection.query("SELECT 1")
        }
        #expect(error?.isTransient == true)
        #expect(await connection.isConnected == false)
        try await connection.connect()
        #expect(try await connection.query("SELECT 1").single() == 1)
    }
}

@Suite struct NotificationTests {
    @Test func aNotificationEndsTheWait() async throws {
        let database = try await TestDatabase(migrated: false)
        let listener = try await database.connect()
        try await listener.listen(to: "odd \"channel\"")
        async let notified = listener.waitForNotification(timeout: .seconds(TestDatabase.patience))
        try await database.connect().query("SELECT pg_notify('odd \"channel\"', '')")
        #expect(try await notified)
    }

    @Test func interruptAndCancellationEndTheWait() async throws {
        let listener = try await TestDatabase(migrated: false).connect()
        listener.interrupt()
        #expect(
            try await listener.waitForNotification(timeout: .seconds(TestDatabase.patience))
                == false)
        let task = Task {
            try await listener.waitForNotification(timeout: .seconds(TestDatabase.patience))
        }
        task.cancel()
        #expect(try await task.value == false)
        #expect(try await listener.waitForNotification(timeout: .milliseconds(1)) == false)
    }
}
