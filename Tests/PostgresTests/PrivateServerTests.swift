import Foundation
import LocalPostgres
import Postgres
import Testing

@Suite struct PrivateServerTests {
    @Test func aSecondStartReusesTheFolder() async throws {
        let folder = "/tmp/l2s-test-\(UUID().uuidString.prefix(8))"
        let settings = ["fsync": "off"]
        let first = try PrivateServer.start(folder: folder, settings: settings)
        defer { try? first.remove() }
        func query(_ sql: String) async throws -> Int {
            let connection = DatabaseConnection(
                try ConnectionSettings(first.connectionString(), applicationName: "test"))
            try await connection.connect()
            return try await connection.query(sql).single()
        }
        #expect(try await query("SELECT 1") == 1)
        // A running server is left alone, and a stopped one is started again on the same data.
        _ = try PrivateServer.start(folder: folder, settings: settings)
        try first.stop()
        _ = try PrivateServer.start(folder: folder, settings: settings)
        #expect(try await query("SELECT 2") == 2)
        #expect(
            try await query(
                "SELECT count(*) FROM pg_settings WHERE name = 'listen_addresses' AND setting = ''")
                == 1)
        let mode = try FileManager.default.attributesOfItem(atPath: folder)[.posixPermissions]
        #expect(mode as? Int == 0o700)
    }

    @Test func aPathTooLongForASocketIsRefused() {
        let folder = "/tmp/" + String(repeating: "x", count: 100)
        let error = #expect(throws: PrivateServerError.self) {
            try PrivateServer.start(folder: folder)
        }
        #expect(error?.description.contains("at most 86 bytes") == true)
    }

    @Test(arguments: ["'", "\"", "\\", ",", "\n", "\r\n"])
    func aPathWithSignsOfSettingsIsRefused(sign: String) {
        let error = #expect(throws: PrivateServerError.self) {
            try PrivateServer.start(folder: "/tmp/l2s\(sign)test")
        }
        #expect(error?.description.contains("commas, backslashes and line ends") == true)
    }
}
