import Postgres
import Testing

@Suite struct ConnectionSettingsTests {
    @Test(arguments: [
        "postgresql://me:hunter2@db.example:5433/l2s",
        "host=db.example port=5433 user=me dbname=l2s password=hunter2",
    ])
    func thePlaceHasNoPassword(text: String) throws {
        let settings = try ConnectionSettings(text, applicationName: "test")
        #expect(settings.place == "host db.example, port 5433, dbname l2s, user me")
    }

    @Test func anUnreadableTextIsNotQuoted() throws {
        let error = #expect(throws: DatabaseError.self) {
            try ConnectionSettings("postgresql://me:hunter2@[db", applicationName: "test")
        }
        #expect(error?.description.contains("a text that libpq cannot read") == true)
        #expect(error?.description.contains("hunter2") == false)
    }

    /// The texts hold parameters of other drivers or of newer versions of libpq, or schemes of
    /// other programs.
    @Test(arguments: [
        (
            "postgresql://me:hunter2@db/l2s?sslmode=require&pgbouncer=true",
            "the parameter pgbouncer"
        ),
        ("postgresql://me:hunter2@db/l2s?schema=public&connection_limit=1", "the parameter schema"),
        ("host=db password=hunter2 no_such_key=1", "the parameter no_such_key"),
        ("postgresql+psycopg://me:hunter2@db/l2s", "the scheme postgresql+psycopg://"),
        ("jdbc:postgresql://me:hunter2@db/l2s", "the scheme jdbc:postgresql://"),
        ("postgresql://me:hunter2%zz@db/l2s", "must be percent-encoded"),
    ])
    func whatIsWrongIsNamedWithoutThePassword(text: String, words: String) {
        let error = #expect(throws: DatabaseError.self) {
            try ConnectionSettings(text, applicationName: "test")
        }
        #expect(
            error?.description.contains(words) == true,
            "\(error.map(String.init(describing:)) ?? "")")
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test func anUnreachableServerIsNamedWithoutThePassword() async throws {
        let settings = try ConnectionSettings(
            "postgresql://me:hunter2@/l2s?host=/nowhere/hunter2", applicationName: "test")
        let error = await #expect(throws: DatabaseError.self) {
            try await DatabaseConnection(settings).connect()
        }
        guard case .unreachable(_, let reason) = error else {
            Issue.record("expected unreachable, got \(String(describing: error))")
            return
        }
        #expect(reason.contains("No such file or directory"))
        #expect(!reason.contains("hunter2"))
    }
}
