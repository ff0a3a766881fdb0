import Foundation
import Postgres
import TestSupport
import Testing

/// Whether this machine has the address ::1.
private let hasIPv6 =
    (try? String(contentsOfFile: "/proc/net/if_inet6", encoding: .utf8))?
    .contains("00000000000000000000000000000001") ?? false

/// What a running worker serves over HTTP.
@Suite(.serialized, .timeLimit(.minutes(15))) struct WatchTests {
    private var random = SeededRandom(seed: 6)

    /// The address in the log can be opened as it stands.
    @Test(
        .enabled(
            if: hasIPv6 && BuiltProgram(installed: "curl") != nil, "needs the address ::1 and curl")
    )
    func theAddressOfAnIPv6ListenerHasBrackets() async throws {
        let stand = try await TestStand()
        let worker = try stand.startWorker("--http-address", "[::1]:0")
        // The log quotes what has signs.
        let address = try await worker.watchAddress().filter { $0 != "\"" }
        #expect(address.hasPrefix("[::1]:"), "\(address)")
        // Foundation's client does not take such addresses.
        let answer = try await #require(BuiltProgram(installed: "curl"))
            .run(["--silent", "--globoff", "--fail", "http://\(address)/healthz"])
        #expect(answer.status == 0, "\(answer.remarks)")
    }

    @Test mutating func servesMetricsHealthAndThePage() async throws {
        let stand = try await TestStand()
        let jobs = try jobsWithAStrictOne()
        let worker = try stand.startWorker(
            "--http-address", "127.0.0.1:0", "--jobs", jobs.path)
        let address = try await worker.watchAddress()
        try await stand.waitUntilRegistered(worker)
        try await stand.enqueue(40, using: &random)
        try await stand.sql.query(
            "SELECT l2s.enqueue('strict', repeat('A Unique Sentence. ', 5000))")
        try await eventually("all is done; \(worker.log)") {
            try await stand.count("l2s.queue") == 0
        }

        #expect(try await Answer("\(address)/healthz").status == 200)
        #expect(try await Answer("\(address)/readyz").status == 200)
        #expect(try await Answer("\(address)/nothing").status == 404)

        let plain = try await Answer("\(address)/metrics")
        #expect(plain.type == "text/plain; version=0.0.4; charset=utf-8")
        let open = try await Answer(
            "\(address)/metrics", accept: "application/openmetrics-text;version=1.0.0")
        #expect(open.type.hasPrefix("application/openmetrics-text; version=1.0.0"))
        #expect(open.text.hasSuffix("# EOF\n"))
        let done = open.text.matches(
            of: /l2s_documents_total\{job_type="[^"]+",outcome="succeeded"\} (\d+)/
        ).reduce(0) { $0 + (Int($1.output.1) ?? 0) }
        #expect(try await stand.count("l2s.result WHERE succeeded") == done)
        if let promtool = BuiltProgram(installed: "promtool") {
            let verdict = try await promtool.run(["check", "metrics"], input: plain.text.utf8)
            #expect(verdict.status == 0)
            #expect(verdict.output + verdict.remarks == "")
        }

        var page = try await Answer(address)
        #expect(page.type == "text/html; charset=utf-8")
        // On a busy machine a look may take longer than its limit; then the page says so.
        try await eventually("the page shows the dead letter; it shows \(page.text)") {
            page = try await Answer(address)
            return page.text.contains("\"dead\":1")
        }
        let links = page.text.matches(of: /(?:src|href|action)="([^"]*)"|url\(|@import/)
        #expect(links.map(\.output.1) == ["data:,"])

        let bodies: [String] = try await stand.sql.query(
            "SELECT body FROM l2s.document UNION SELECT output FROM l2s.result WHERE succeeded"
        ).map { try $0.value("body") }
        #expect(bodies.count > 30)
        for body in bodies {
            let piece = String(body.prefix(24))
            for text in [page.text, open.text, worker.log] {
                #expect(piece.count < 8 || !text.contains(piece), "\(piece)")
            }
        }
        worker.send(SIGTERM)
        #expect(await worker.waitForExit().code == 0)
    }

    @Test func labelsTakeFewValues() async throws {
        let stand = try await TestStand()
        let worker = try stand.startWorker("--http-address", "127.0.0.1:0")
        let page = try await Answer("\(try await worker.watchAddress())/metrics").text
        let labels = Dictionary(
            grouping: page.matches(of: /([a-z_]+)="([^"]*)"/), by: { String($0.output.1) })
        #expect(
            Set(labels.keys)
                == [
                    "job_type", "outcome", "direction", "stage", "place", "work", "version",
                    "result", "reason", "le",
                ])
        for (name, uses) in labels { #expect(Set(uses.map(\.output.2)).count < 20, "\(name)") }
    }

    @Test func aPortInUse() async throws {
        let stand = try await TestStand()
        let first = try stand.startWorker("--http-address", "127.0.0.1:0")
        let address = try await first.watchAddress()
        // This address was asked for, so it is an error if it cannot be had.
        let second = try stand.startWorker("--http-address", address)
        #expect(await second.waitForExit().code == 69)
        #expect(second.log.contains("cannot serve metrics at \(address)"), "\(second.log)")
        #expect(second.log.contains("--http-address"))
        #expect(try await stand.count("l2s.worker WHERE stopped_at IS NULL") == 1)
    }

    /// Whoever holds the usual port, at least one of two workers does not get it.
    @Test func theUsualPortInUseIsSaidAndStopsNothing() async throws {
        let stand = try await TestStand()
        let workers = [try stand.startWorker(), try stand.startWorker()]
        for worker in workers { try await stand.waitUntilRegistered(worker) }
        try await eventually("one does without: \(workers.map(\.log))") {
            workers.contains { $0.log.contains("dashboard unavailable") }
        }
        #expect(workers.contains { $0.log.contains("cannot serve metrics at 127.0.0.1:9464") })
        #expect(try await stand.count("l2s.worker WHERE stopped_at IS NULL") == 2)
    }

    @Test func aDatabaseThatGoesAwayIsSaidAndComesBack() async throws {
        let stand = try await TestStand(restartable: true)
        let worker = try stand.startWorker("--http-address", "127.0.0.1:0")
        let address = try await worker.watchAddress()
        try await stand.waitUntilRegistered(worker)
        try await eventually("the page works; \(worker.log)") {
            try await Answer(address).text.contains("\"workers\":[{")
        }
        try stand.database.restartServer()
        try await eventually("the page works again; \(worker.log)") {
            try await Answer(address).text.contains("\"workers\":[{")
        }
        try await eventually("it is ready again; \(worker.log)") {
            try await Answer("\(address)/readyz").status == 200
        }
    }

    @Test func thePageDoesNotSayWhereTheDatabaseIs() async throws {
        let stand = try await TestStand(restartable: true)
        let worker = try stand.startWorker("--http-address", "127.0.0.1:0")
        let address = try await worker.watchAddress()
        try await stand.waitUntilRegistered(worker)
        try stand.database.crashServer()
        try await eventually("the page says that there is no database; \(worker.log)") {
            let text = try await Answer(address).text
            #expect(!text.contains("host ") && !text.contains("user "), "\(text)")
            return text.contains("cannot connect to PostgreSQL; l2s doctor says why")
        }
    }

    /// A foreign page that makes its own name lead here must not read what is served.
    @Test(
        .enabled(
            if: BuiltProgram(installed: "curl") != nil, "needs curl: .ci/install-packages --tools"))
    func thePageIsNotServedUnderAForeignName() async throws {
        let stand = try await TestStand()
        let worker = try stand.startWorker("--http-address", "127.0.0.1:0")
        let address = try await worker.watchAddress()
        for (host, status) in [
            ("evil.example", "421"), ("evil.example:9464", "421"), ("localhost", "200"),
            ("10.0.0.7:9464", "200"), ("[::1]:9464", "200"), ("worker-3", "200"),
        ] {
            let answer = try await #require(BuiltProgram(installed: "curl")).run([
                "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--header",
                "Host: \(host)", "http://\(address)/",
            ])
            #expect(answer.output == status, "\(host)")
        }
    }
}
