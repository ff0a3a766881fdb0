import ArgumentParser
import Benchmarks
import Foundation
import Jobs
import LocalPostgres
import Pipeline
import Programs
import Settings

struct WorkerBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Documents per second through queue and worker, beside the engine alone.",
        discussion: """
            Runs the same documents in turn through the engine in this program, and through a worker. \
            For the worker they are enqueued on a private PostgreSQL in a temporary folder, with every \
            commit durable, and timed from the first claim to the last result. Neither has a prompt \
            cache.

            With --outputs 1,2,4 each document gets that many jobs, of its job type and of copies of \
            it, which are enqueued in one call and share one reading. The last table compares this with \
            what reading once and writing that often would reach, by the times of one output.
            """)

    @Option(
        help: ArgumentHelp(
            "JSON Lines {\"job_type\": \"…\", \"document\": \"…\"}; - for standard input. Default: "
                + "the samples of the jobs folder.", valueName: "file"))
    var data: String?

    @Option(help: "Documents of a run; the input is repeated if it has fewer.")
    var documents = 1_000

    @Option(help: "Runs of each, of which the median is taken, after one to warm up.")
    var rounds = 3

    @Option(help: "Outputs of each document, a run for each number; at most 8.")
    var outputs = "1"

    @Option(help: "Threads of the engine and of the worker. Default: the machine's cores.")
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
        guard outputCounts.first == 1, outputCounts.allSatisfy((1...8).contains),
            outputCounts.count == outputs.split(separator: ",").count
        else {
            throw ValidationError(
                "expected --outputs to be numbers from 1 to 8 with commas between, 1 first, got "
                    + outputs)
        }
    }

    private var outputCounts: [Int] { outputs.split(separator: ",").compactMap { Int($0) } }

    func run() async throws {
        let machine = Machine()
        let installation = try folders.installation
        let threads = threadCount(threads)
        let jobTypes = try loadJobTypes(folder: installation.jobsFolder)
        let sources = try await sources(jobTypes, installation)
        let interruption = Interruption()
        // The path of a Unix socket must be short.
        let folder = "/tmp/l2s-bench-\(ProcessInfo.processInfo.processIdentifier)"
        let server = try await blocking { try PrivateServer.start(folder: folder) }
        defer { try? server.remove() }
        let names = Set(sources.map(\.jobType))
        let copies = try JobTypeCopies(
            of: names, count: outputCounts.max() ?? 1, in: folder + "/jobs", installation)
        let engine = try await blocking {
            try EngineRun(
                copies.jobTypes.filter { type in
                    names.contains { type.name == $0 || type.name.hasPrefix($0 + "-") }
                }, modelsFolder: installation.modelsFolder,
                // A worker's defaults, but without a prompt cache.
                settings: PipelineSettings(threads: threads, promptCacheBytes: 0))
        }
        guard let url = DatabaseURL(server.connectionString()) else {
            throw Failure("expected \(folder) to be a path that fits a database URL")
        }
        let queue = ServedQueue(try await connect(to: url))
        try await queue.prepare(copies.jobTypes)
        let worker = try BenchWorker(
            url, copies.installation, log: folder + "/worker.log", ["--threads", "\(threads)"])
        defer { worker.stop() }

        let progress = Progress("measuring", unit: "runs")
        defer { progress.end() }
        var report = WorkerBenchReport(
            machine: machine, threads: threads, documents: sources.count)
        let runs = outputCounts.count * (rounds + 1)
        for round in 0...rounds {
            for (place, outputs) in outputCounts.enumerated() {
                try interruption.check()
                let alone = try await engine.run(Self.copies(of: sources, outputs))
                let jobs = sources.map { document in
                    (
                        jobTypes: (1...outputs).map { JobTypeCopies.name(document.jobType, $0) },
                        text: document.text
                    )
                }
                let served = try await queue.run(jobs) { try worker.checkRunning() }
                progress.update(round * outputCounts.count + place + 1, of: runs)
                guard round > 0 else { continue }
                if outputs == 1 { report.tokens = alone.tokens }
                report.rounds.append(
                    WorkerBenchReport.Round(
                        outputs: outputs, engine: alone.documentsPerSecond, worker: served,
                        reading: alone.reading / .seconds(1), writing: alone.writing / .seconds(1)))
            }
        }
        progress.end()
        report.enginePeakMemoryMiB = Machine.peakMemory
        report.workerPeakMemoryMiB = Machine.peakMemory(of: worker.processID)
        try output.save(report)
        if output.json { try Console.printJSON(report) } else { Console.print(report.text) }
    }

    /// Each document once for its job type and once for each copy of that type, one after the other.
    private static func copies(of documents: [SourceDocument], _ outputs: Int) -> [SourceDocument] {
        documents.flatMap { document in
            (1...outputs).map { number in
                SourceDocument(
                    id: document.id * Int64(outputs) + Int64(number - 1),
                    jobType: JobTypeCopies.name(document.jobType, number), text: document.text)
            }
        }
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
