import Foundation
import Postgres
import TestSupport
import Testing

/// A password is never shown, wherever it was given and whatever goes wrong.
@Suite(.timeLimit(.minutes(15))) struct SecretTests {
    private let secret = "Zyzzogeton7"

    /// Checks all that others on the machine, or readers of the database's log, could see.
    @Test func aPasswordIsNeverHeard() async throws {
        let database = try await TestDatabase()
        let sql = try await database.connect()
        let socket = URL(filePath: database.socket).deletingLastPathComponent().path()
        let good = "postgresql://postgres:\(secret)@/\(database.name)?host=\(socket)"
        let pairs = "host=\(socket) dbname=\(database.name) user=postgres password=\(secret)"
        let bad = [
            // No such server, name, user or database; an address that cannot be read.
            "postgresql://me:\(secret)@127.0.0.1:1/nothing",
            "postgresql://me:\(secret)@no-such-host.invalid/nothing",
            "postgresql://nobody:\(secret)@/\(database.name)?host=\(socket)",
            "postgresql://postgres:\(secret)@/nothing?host=\(socket)",
            "postgresql://postgres@/nothing?host=\(socket)&password=\(secret)",
            "postgresql://postgres:\(secret)@[half/nothing", "postgres:\(secret)@half/nothing",
            "host=/nowhere password='\(secret)' user=me",
            "host=/nowhere password=\(secret) oddity=1",
            secret,
        ]
        let commands = [
            ["status"], ["doctor"], ["migrate"], ["top", "--json"], ["plan", "--job", "summarize"],
            ["cancel", "1"], ["maintain"], ["results", "--group", "none"],
        ]
        var heard: [(place: String, words: String)] = []
        func hear(_ program: String, _ arguments: [String], _ environment: [String: String])
            async throws
        {
            let ending = try await BuiltProgram(program).run(arguments, environment: environment)
            heard.append(
                ("\(program) \(arguments) \(environment.keys)", ending.output + ending.remarks))
        }
        for url in [good, pairs] {
            for command in commands { try await hear("l2s", command, ["L2S_DATABASE_URL": url]) }
            try await hear("l2s", ["doctor", "--listen-url", bad[0]], ["L2S_DATABASE_URL": url])
        }
        for url in bad {
            for command in commands.prefix(3) {
                try await hear("l2s", command, ["L2S_DATABASE_URL": url])
            }
            try await hear("l2s", ["status", "--database-url", url], [:])
        }
        for (place, words) in heard {
            #expect(!words.contains(secret), "\(place): \(words)")
        }
        #expect(heard.contains { $0.words.contains("Connection refused") })
        #expect(heard.contains { $0.words.contains("nobody") })

        // Checks also a worker's command line, its log at the lowest level, and what the server knows.
        let worker = try WorkerProgram(
            ["--until-empty", "--log-level", "trace", "--threads", "1"]
                + ["--http-address", "127.0.0.1:0"],
            environment: ["L2S_DATABASE_URL": good, "L2S_LISTEN_URL": good])
        let title = try Data(contentsOf: URL(filePath: "/proc/\(worker.processID)/cmdline"))
        #expect(!String(decoding: title, as: UTF8.self).contains(secret))
        #expect(await worker.waitForExit().code == 0, "\(worker.log)")
        #expect(worker.log.contains("worker stopped") && !worker.log.contains(secret))
        let open = try WorkerProgram(["--database-url", good, "--listen-url=\(good)"])
        try await eventually("it hides what it was started with; \(open.log)") {
            let title = try Data(contentsOf: URL(filePath: "/proc/\(open.processID)/cmdline"))
            return !title.isEmpty && !String(decoding: title, as: UTF8.self).contains(secret)
        }
        try await eventually("it registers; \(open.log)") {
            try await sql.query(
                "SELECT count(*) FROM l2s.worker WHERE pid = $1",
                [.int(Int(open.processID))]
            ).single() == 1
        }
        open.send(SIGTERM)
        #expect(await open.waitForExit().code == 0, "\(open.log)")
        let activity: Int = try await sql.query(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE (query LIKE '%' || $1 || '%' OR application_name LIKE '%' || $1 || '%')
              AND pid <> pg_backend_pid()
            """, [.text(secret)]
        ).single()
        #expect(activity == 0)
    }

    @Test(arguments: [
        "postgresql://me:Zyzzogeton7@127.0.0.1:1/nothing", "me:Zyzzogeton7@127.0.0.1",
    ])
    func aWorkerThatCannotStartKeepsIt(url: String) async throws {
        let worker = try WorkerProgram(
            ["--log-level", "trace", "--http-address", "off"],
            environment: ["L2S_DATABASE_URL": url, "L2S_LISTEN_URL": url])
        let code = await worker.waitForExit().code
        #expect(code == 69 || code == 64, "\(worker.log)")
        #expect(!worker.log.isEmpty && !worker.log.contains(secret), "\(worker.log)")
    }
}
