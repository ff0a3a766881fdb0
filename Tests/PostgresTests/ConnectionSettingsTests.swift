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
        #expect(error == .badConnectionString)
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
