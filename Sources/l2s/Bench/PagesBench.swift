import ArgumentParser
import Benchmarks
import Foundation
import LocalPostgres
import Programs
import Settings

struct PagesBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pages",
        abstract: "Measure what a worker's open pages cost it.",
        discussion: """
            Runs a worker with a full queue on a private server in a temporary folder. In turn, \
            nobody watches it, and --pages pages do. Throughput counts the rows written; its noise \
            hides a cost of 1 %. So processor time is measured, too: that of the worker's threads \
            other than its lanes, which compute whenever they can, and that of the page's database \
            connection. This program reads the pages; its own time is not the worker's cost.
            """, shouldDisplay: false)

    @Option(help: "Pages that are open at a time, 1 to 100.")
    var pages = 50

    @Option(help: "Pairs of measurements.")
    var rounds = 8

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

    func run() async throws {
        let installation = try folders.installation
        let samples = try DemoSamples(
            jobsFolder: installation.jobsFolder,
            jobTypes: loadJobTypes(folder: installation.jobsFolder))
        let interruption = Interruption()
        // The path of a Unix socket must be short.
        let folder = "/tmp/l2s-bench-\(ProcessInfo.processInfo.processIdentifier)"
        let server = try await blocking { try PrivateServer.start(folder: folder) }
        defer { try? server.remove() }
        guard let url = DatabaseURL(server.connectionString()) else {
            throw Failure("expected \(folder) to be a path that fits a database URL")
        }
        let type = samples.sampled[0]
        let queue = FullQueue(
            try await connect(to: url), jobType: type,
            texts: samples.all.filter { $0.jobType == type }.map(\.text))
        try await queue.prepare(samples.jobTypes)
        let worker = try BenchWorker(url, installation, log: folder + "/worker.log")
        defer { worker.stop() }
        let port = try await worker.port()
        try await queue.warmUp()

        let progress = Progress("measuring", unit: "measurements")
        defer { progress.end() }
        var results: [PagesReport.Round] = []
        var bytes = 0
        for round in 0..<rounds {
            var turns: [Bool: WorkerTurn] = [:]
            // Either of them goes first in every second round.
            for isWatched in round % 2 == 0 ? [false, true] : [true, false] {
                try interruption.check()
                try await queue.fill()
                let open = isWatched ? try OpenPages(pages, port: port) : nil
                try await open?.waitUntilServed()
                turns[isWatched] = try await queue.turn(
                    of: worker.processID, over: .seconds(seconds))
                bytes += open?.close() ?? 0
                try await queue.waitUntilUnwatched()
                progress.update(2 * round + turns.count, of: 2 * rounds)
            }
            guard let unwatched = turns[false], let watched = turns[true] else { continue }
            results.append(PagesReport.Round(unwatched: unwatched, watched: watched))
        }
        progress.end()
        let report = PagesReport(
            machine: Machine(), pages: pages, rounds: results,
            bytesPerPage: Double(bytes) / Double(pages * rounds * seconds))
        if json { try Console.printJSON(report) } else { Console.print(report.text) }
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
            // Texts are repeated here, and a prompt cache would spare the worker to read them again.
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

    /// The port of its page. Waits until the page is served.
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
