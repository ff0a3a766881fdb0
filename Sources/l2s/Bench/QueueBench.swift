import ArgumentParser
import Benchmarks
import Foundation
import Programs

struct QueueBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue",
        abstract: "Measure the queue: workers around an engine that does nothing.",
        discussion: """
            Runs on a private PostgreSQL in --folder, with fsync and synchronous_commit on, which is \
            deleted afterwards. Sections: \
            \(Section.allCases.map(\.rawValue).joined(separator: ", ")).
            """, shouldDisplay: false)

    enum Section: String, CaseIterable, ExpressibleByArgument {
        case throughput, peers, enqueue, pickup, recovery, depth, snapshot, plans, results,
            retention
        case steady
    }

    @Option(
        parsing: .upToNextOption,
        help: "Sections to measure, separated by spaces. Default: all but peers and steady.")
    var sections = Section.allCases.filter { $0 != .peers && $0 != .steady }

    @Option(help: "A new folder for the server. Default: one in the system's temporary folder.")
    var folder: String?

    @Option(help: "Also write everything, the query plans too, to this JSON file.")
    var report: String?

    @Option(help: "A factor for every count of documents: 0.1 for a quick look.")
    var scale = 1.0

    @Option(parsing: .upToNextOption, help: "Workers of section throughput.")
    var workers = [1, 2, 4, 8]

    @Option(parsing: .upToNextOption, help: "Documents of a claim in section throughput.")
    var batches = [1, 16, 64, 256]

    @Option(help: "Partitions of history, a day each, in sections throughput and depth.")
    var partitions = 90

    @Option(
        parsing: .upToNextOption,
        help: "Waiting documents of section depth, which has as many finished ones, too.")
    var depths = [10_000, 100_000, 1_000_000]

    @Option(help: "Documents that pass while the snapshot of section snapshot is held.")
    var snapshotDocuments = 100_000

    @Option(help: "Results that section results reads.")
    var results = 1_000_000

    @Option(help: "Dedupe keys that section retention deletes.")
    var keys = 1_000_000

    @Option(help: "Seconds that section retention measures without retention.")
    var retentionSeconds = 60

    @Option(help: "Seconds of section steady.")
    var steadySeconds = 3_600

    @Option(help: "Documents per second of sections retention and steady.")
    var steadyRate = 300

    @Option(help: "The command that measures other queues; gets database URL, workers, documents.")
    var peers: String?

    func validate() throws {
        guard (0.001...100).contains(scale) else {
            throw ValidationError("expected --scale to be from 0.001 to 100, got \(scale)")
        }
        for (name, value) in [
            ("--snapshot-documents", snapshotDocuments), ("--results", results),
            ("--steady-seconds", steadySeconds), ("--steady-rate", steadyRate), ("--keys", keys),
            ("--retention-seconds", retentionSeconds),
        ] + depths.map({ ("--depths", $0) }) + batches.map({ ("--batches", $0) })
        where !(1...100_000_000).contains(value) {
            throw ValidationError("expected \(name) to be from 1 to 100000000, got \(value)")
        }
        guard workers.allSatisfy((1...32).contains) else {
            throw ValidationError("expected --workers to be from 1 to 32, got \(workers)")
        }
        guard (0...1_000).contains(partitions) else {
            throw ValidationError("expected --partitions to be from 0 to 1000, got \(partitions)")
        }
        if sections.contains(.peers), peers == nil {
            throw ValidationError("expected --peers for section peers: see make bench-queue")
        }
    }

    func run() async throws {
        let machine = Machine()
        let folder = self.folder ?? "/tmp/l2s-bench-\(UUID().uuidString.prefix(8).lowercased())"
        guard !FileManager.default.fileExists(atPath: folder) else {
            throw Failure("expected --folder \(folder) to be new, because it is deleted afterwards")
        }
        let interruption = Interruption()
        let server = try await blocking { try BenchServer(folder: folder) }
        var bench = QueueReport(machine: machine, settings: BenchServer.settings)
        Console.print(machine.line)
        Console.print(
            "PostgreSQL with "
                + BenchServer.settings.sorted { $0.key < $1.key }
                .map { "\($0.key) = \($0.value)" }.joined(separator: ", "))
        do {
            for section in sections {
                try interruption.check()
                Console.print("")
                try await measure(section, server, &bench)
            }
        } catch {
            try? server.remove()
            throw error
        }
        try server.remove()
        if let report {
            try Data((try Console.json(bench) + "\n").utf8)
                .write(to: URL(fileURLWithPath: report), options: .atomic)
            Console.print("\n\(report)")
        }
    }

    private func scaled(_ documents: Int) -> Int { max(256, Int(Double(documents) * scale)) }

    private func measure(
        _ section: Section, _ server: BenchServer, _ bench: inout QueueReport
    ) async throws {
        switch section {
        case .throughput:
            for count in workers {
                for batch in batches {
                    bench.costs.append(
                        try await QueueCost(
                            server, workers: count, batch: batch,
                            // Enough for seconds of work.
                            documents: scaled(min(80_000, 1_000 * batch + 1_000)),
                            partitions: partitions))
                }
            }
            Console.print(bench.throughputTable)
            for count in workers where batches.contains(64) {
                bench.floors.append(
                    try await QueueFloor(
                        server, workers: count, batch: 64, documents: scaled(64_000)))
            }
            Console.print(bench.floorLine)
        case .peers:
            let words = (peers ?? "").split(separator: " ").map(String.init)
            for workers in [1, 2, 4] {
                bench.peers += try await QueuePeers.run(
                    words, server, workers: workers, documents: scaled(10_000))
            }
            Console.print(bench.peersTable)
        case .enqueue:
            bench.enqueue = try await EnqueueRate(
                server, clients: 64, duration: .seconds(5) * min(scale, 1), rounds: 3)
            Console.print(bench.enqueueLines)
        case .pickup:
            bench.pickUp = try await PickUp(server, documents: min(scaled(200), 200))
            Console.print(bench.pickUpLines)
        case .recovery:
            bench.recovery = try await CrashRecovery(
                server, leaseDuration: .seconds(2), crashes: 5)
            Console.print(bench.recoveryLine)
        case .depth:
            for depth in depths {
                bench.depths.append(
                    try await ClaimTimes.atDepth(
                        server, waiting: depth, finished: depth, batch: 256, claims: 100,
                        partitions: partitions))
            }
            Console.print(bench.depthTable)
        case .snapshot:
            bench.snapshot = try await SnapshotCost(
                server, documents: snapshotDocuments, batch: 256, claims: 100)
            Console.print(bench.snapshotLines)
        case .plans:
            bench.plans = try await QueuePlans.all(
                server, waiting: scaled(200_000), finished: scaled(200_000), batch: 256, claims: 30)
            Console.print(bench.plansTable)
        case .results:
            bench.results = try await ResultReads(
                server, results: results, waiting: scaled(10_000))
            Console.print(bench.resultsTable)
        case .retention:
            bench.retention = try await RetentionCost(
                server, keys: scaled(keys), rate: steadyRate,
                duration: .seconds(retentionSeconds) * min(scale, 1))
            Console.print(bench.retentionTable)
        case .steady:
            Console.print("steady load of \(steadyRate) documents/s")
            bench.steady = try await SteadyLoad(
                server, rate: steadyRate, duration: .seconds(steadySeconds),
                every: .seconds(max(1, steadySeconds / 60)), workers: 2
            ) { Console.print(QueueReport.line($0)) }
        }
    }
}
