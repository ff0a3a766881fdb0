import ArgumentParser
import Benchmarks
import Foundation
import LocalPostgres
import Postgres
import PostgresJobs
import Settings

struct PagesBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pages",
        abstract: "Measure what a worker's open pages cost it.",
        discussion: """
            A worker with a full queue, on a private server in a temporary folder, is watched by \
            nobody and by that many pages in turn. Throughput is that of the rows written. The \
            pages only read: what browsers make of it is not the worker's cost, and yet this \
            program shares its machine.
            """)

    @Option(help: "Pages that are open at a time, 1 to 100.")
    var pages = 50

    @Option(help: "Pairs of measurements, of which the median is taken.")
    var rounds = 5

    @Option(help: "Seconds of each measurement.")
    var seconds = 10

    @Flag(help: "JSON on standard output.")
    var json = false

    @OptionGroup var folders: FolderOptions

    func validate() throws {
        for (name, value, limit) in [
            ("--pages", pages, 100), ("--rounds", rounds, 100), ("--seconds", seconds, 600),
        ] where !(1...limit).contains(value) {
            throw ValidationError("expected \(name) to be from 1 to \(limit), got \(value)")
        }
    }

    private struct Round: Encodable {
        /// Documents per second.
        let unwatched, watched: Double
        var ratio: Double { watched / unwatched }
    }

    private struct Report: Encodable {
        let machine: Machine
        let pages: Int
        let rounds: [Round]
        /// Of watched to unwatched.
        let medianRatio: Double
        /// What each page got per second.
        let bytesPerPage: Double
    }

    func run() async throws {
        let installation = try folders.installation
        let samples = try DemoSamples(
            jobsFolder: installation.jobsFolder,
            jobTypes: loadJobTypes(folder: installation.jobsFolder))
        let interruption = Interruption()
        // A Unix socket's path has little room.
        let folder = "/tmp/l2s-bench-\(ProcessInfo.processInfo.processIdentifier)"
        let server = try await blocking { try PrivateServer.start(folder: folder) }
        defer { try? server.remove() }
        guard let url = DatabaseURL(server.connectionString()) else {
            throw Failure("expected \(folder) to be a path that fits a database URL")
        }
        let queue = BenchQueue(connection: try await connect(to: url), samples: samples)
        try await queue.prepare()
        let worker = try BenchWorker(url, installation, log: folder + "/worker.log")
        defer { worker.stop() }
        let port = try await worker.port()
        try await queue.warmUp()

        let progress = Progress("measuring", unit: "measurements")
        defer { progress.end() }
        var results: [Round] = []
        var bytes = 0
        for round in 0..<rounds {
            var rates: [Bool: Double] = [:]
            // Each goes first as often as the other.
            for isWatched in round % 2 == 0 ? [false, true] : [true, false] {
                try interruption.check()
                try await queue.fill()
                let open = isWatched ? try OpenPages(pages, port: port) : nil
                rates[isWatched] = try await queue.rate(over: .seconds(seconds))
                bytes += open?.close() ?? 0
                progress.update(2 * round + rates.count, of: 2 * rounds)
            }
            results.append(Round(unwatched: rates[false] ?? 0, watched: rates[true] ?? 0))
        }
        progress.end()
        let report = Report(
            machine: Machine(), pages: pages, rounds: results,
            medianRatio: median(results.map(\.ratio)),
            bytesPerPage: Double(bytes) / Double(pages * rounds * seconds))
        guard bytes > 0 else { throw Failure("expected the pages to be served, got nothing") }
        if json { try Console.printJSON(report) } else { Console.print(text(report)) }
    }

    private func text(_ report: Report) -> String {
        var table = Columns([
            ("documents/s", .left), ("no page", .right), ("\(pages) pages", .right),
            ("ratio", .right),
        ])
        for (index, round) in report.rounds.enumerated() {
            table.add([
                "round \(index + 1)", round.unwatched.rounded(digits: 1),
                round.watched.rounded(digits: 1), Self.ratio(round.ratio),
            ])
        }
        table.add(["median", "", "", Self.ratio(report.medianRatio)])
        return
            ([report.machine.line, ""] + table.lines + [
                "", "each page got \(report.bytesPerPage.rounded(digits: 0)) bytes a second",
            ]).joined(separator: "\n")
    }

    private static func ratio(_ value: Double) -> String {
        String(format: "%.3f", value)
    }
}

/// A queue that does not run empty.
private struct BenchQueue {
    let connection: DatabaseConnection
    let samples: DemoSamples

    private static let depth = 4000

    func prepare() async throws {
        _ = try await SchemaMigrator().migrate(connection)
        try await JobTypeTable.write(samples.jobTypes, connection)
        try await fill()
    }

    /// Up to the same depth before each measurement, in the same order of documents.
    func fill() async throws {
        let type = samples.sampled[0]
        let texts = samples.all.filter { $0.jobType == type }.map(\.text)
        try await connection.query(
            """
            SELECT count(l2s.enqueue($1, ($2::text[])[1 + n % cardinality($2::text[])]))
            FROM generate_series(1, $3 - (SELECT count(*) FROM l2s.queue)) AS n
            """, [.text(type), .texts(texts), .int(Self.depth)])
    }

    func warmUp() async throws {
        while try await finished(since: 0) < 200 { try await Task.sleep(for: .milliseconds(100)) }
    }

    /// Documents per second from now on.
    func rate(over duration: Duration) async throws -> Double {
        let start = try await time()
        try await Task.sleep(for: duration)
        let count = try await finished(since: start)
        return Double(count) / (try await time() - start)
    }

    private func time() async throws -> Double {
        try await connection.query("SELECT extract(epoch FROM clock_timestamp())").single()
    }

    private func finished(since start: Double) async throws -> Int {
        try await connection.query(
            "SELECT count(*) FROM l2s.result WHERE finished_at > to_timestamp($1)",
            [.double(start)]
        ).single()
    }
}

/// The worker beside this program, as a child.
final class BenchWorker {
    private let process: Process
    private let log: String

    init(
        _ url: DatabaseURL, _ installation: Installation, log: String, _ arguments: [String] = []
    ) throws {
        process = try WorkerProcess.make(
            url, installation, log: log,
            // No prompt is known twice here, though its text comes again.
            ["--http-address", "127.0.0.1:0", "--prompt-cache", "0"] + arguments)
        self.log = log
        try process.run()
    }

    var processID: Int32 { process.processIdentifier }

    func checkRunning() throws {
        guard !process.isRunning else { return }
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        throw Failure("l2s-worker ended; its log ends:\n\(text.suffix(1000))")
    }

    func stop() {
        process.terminate()
        process.waitUntilExit()
    }

    /// Where it serves, once it does.
    func port() async throws -> UInt16 {
        while process.isRunning {
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            let line = text.split(separator: "\n").first { $0.contains("dashboard served") }
            if let port = line?.split(separator: ":").last.flatMap({ UInt16($0) }) { return port }
            try await Task.sleep(for: .milliseconds(50))
        }
        try checkRunning()
        throw CancellationError()
    }
}
