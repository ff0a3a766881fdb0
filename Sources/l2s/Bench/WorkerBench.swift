import ArgumentParser
import Benchmarks
import Foundation
import Jobs
import LocalPostgres
import Programs
import Settings

struct WorkerBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Documents per second through queue and worker, beside the engine alone.",
        discussion: """
            The same documents in turn: put through the engine in this program, and enqueued on a \
            private PostgreSQL in a temporary folder, with every commit durable, for a worker \
            beside it; from the first claim to the last result. Neither keeps prompts.
            """)

    @Option(
        help: ArgumentHelp(
            "JSON Lines {\"job_type\": \"…\", \"document\": \"…\"}; - for standard input. Default: "
                + "the samples of the jobs folder.", valueName: "file"))
    var data: String?

    @Option(help: "Documents of a run; they come again where there are fewer.")
    var documents = 1_000

    @Option(help: "Runs of each, of which the median is taken, after one to warm up.")
    var rounds = 3

    @Option(help: "Of the engine and of the worker. Default: the machine's cores.")
    var threads: Int?

    @OptionGroup var output: BenchOutput

    @OptionGroup var folders: FolderOptions

    func validate() throws {
        for (name, value, limit) in [
            ("--documents", documents, 1_000_000), ("--rounds", rounds, 100),
            ("--threads", threads ?? 1, 1_024),
        ] where !(1...limit).contains(value) {
            throw ValidationError("expected \(name) to be from 1 to \(limit), got \(value)")
        }
    }

    func run() async throws {
        let machine = Machine()
        let installation = try folders.installation
        let threads = threadCount(threads)
        let jobTypes = try loadJobTypes(folder: installation.jobsFolder)
        let sources = try await sources(jobTypes, installation)
        let interruption = Interruption()
        let engine = try await blocking {
            try EngineRun(
                jobTypes.filter { type in sources.contains { $0.jobType == type.name } },
                modelsFolder: installation.modelsFolder, threads: threads)
        }
        // A Unix socket's path has little room.
        let folder = "/tmp/l2s-bench-\(ProcessInfo.processInfo.processIdentifier)"
        let server = try await blocking { try PrivateServer.start(folder: folder) }
        defer { try? server.remove() }
        guard let url = DatabaseURL(server.connectionString()) else {
            throw Failure("expected \(folder) to be a path that fits a database URL")
        }
        let queue = ServedQueue(connection: try await connect(to: url))
        try await queue.prepare(jobTypes)
        let worker = try BenchWorker(
            url, installation, log: folder + "/worker.log", ["--threads", "\(threads)"])
        defer { worker.stop() }

        let progress = Progress("measuring", unit: "documents")
        defer { progress.end() }
        var report = WorkerBenchReport(
            machine: machine, threads: threads, documents: sources.count)
        for round in 0...rounds {
            try interruption.check()
            let alone = try await engine.run(sources)
            let served = try await queue.run(sources) { try worker.checkRunning() }
            progress.update(2 * sources.count * (round + 1), of: 2 * sources.count * (rounds + 1))
            guard round > 0 else { continue }
            report.tokens = alone.tokens
            report.rounds.append(
                WorkerBenchReport.Round(engine: alone.documentsPerSecond, worker: served))
        }
        progress.end()
        report.enginePeakMemoryMiB = Machine.peakMemory
        report.workerPeakMemoryMiB = Machine.peakMemory(of: worker.processID)
        try output.save(report)
        if output.json { try Console.printJSON(report) } else { Console.print(report.text) }
    }

    private func sources(
        _ jobTypes: [JobType], _ installation: Installation
    ) async throws -> [SourceDocument] {
        var all: [(jobType: String, text: String)] = []
        if let data {
            var input = try InputFile(path: data)
            while all.count < documents, let piece = try await input.nextLine() {
                func fail(_ words: String) -> Failure {
                    Failure("\(input.name), line \(all.count + 1): \(words)")
                }
                do throws(DocumentLine.Fault) {
                    let line = try DocumentLine(piece, .json)
                    guard let type = line.jobType, jobTypes.contains(where: { $0.name == type })
                    else {
                        throw DocumentLine.Fault(
                            expected: "\"job_type\" to be one of "
                                + jobTypes.map(\.name).joined(separator: ", "),
                            found: line.jobType ?? "none")
                    }
                    all.append((type, line.document))
                } catch {
                    throw fail("\(error)")
                }
            }
            guard !all.isEmpty else {
                throw Failure("\(input.name): expected documents, found none")
            }
        } else {
            let samples = try DemoSamples(jobsFolder: installation.jobsFolder, jobTypes: jobTypes)
            all = samples.all.map { ($0.jobType, $0.text) }
        }
        return (0..<documents).map { index in
            let (type, text) = all[index % all.count]
            return SourceDocument(id: Int64(index), jobType: type, text: text)
        }
    }
}

/// What `l2s bench worker` measured, for programs and for people.
struct WorkerBenchReport: Encodable {
    struct Round: Encodable {
        /// Documents per second.
        let engine, worker: Double
    }

    let machine: Machine
    let threads: Int
    /// Documents of one run.
    let documents: Int
    var rounds: [Round] = []
    var tokens = EngineRun.Tokens()
    /// This program: the engine with the models of these documents.
    var enginePeakMemoryMiB = 0.0
    /// The worker: the engine with the models of all job types, and all around it.
    var workerPeakMemoryMiB = 0.0

    var text: String {
        var table = Columns([
            ("documents/s", .left), ("engine alone", .right), ("queue and worker", .right),
            ("ratio", .right),
        ])
        func add(_ name: String, _ engine: Double, _ worker: Double, _ ratio: Double) {
            table.add([
                name, engine.rounded(digits: 1), worker.rounded(digits: 1),
                ratio.rounded(digits: 2),
            ])
        }
        for (index, round) in rounds.enumerated() {
            add("run \(index + 1)", round.engine, round.worker, round.worker / round.engine)
        }
        add(
            "median", median(rounds.map(\.engine)), median(rounds.map(\.worker)),
            median(rounds.map { $0.worker / $0.engine }))
        table.add([
            "peak memory, MiB", enginePeakMemoryMiB.rounded(digits: 0),
            workerPeakMemoryMiB.rounded(digits: 0), "",
        ])
        return
            ([
                machine.line,
                "\(documents.grouped) documents, \(tokens.read.grouped) tokens read and "
                    + "\(tokens.written.grouped) written, \(threads) threads", "",
            ] + table.lines).joined(separator: "\n")
    }
}
