import ArgumentParser
import Checkpoints
import Foundation
import Jobs
import LocalPostgres
import Settings

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show all of it at work, on a database server of its own.",
        discussion: """
            Starts a private PostgreSQL (a Unix socket, no TCP) and enqueues the sample documents \
            with SQL, each for all job types in one call, so that it is read once where the types \
            agree on model and prompt. Runs l2s-worker until the queue is empty. Then the large \
            model does the same, one job type after the other, and the outputs and times of both \
            are printed.

            The server and its data stay for you to look around; the next run uses them again. \
            `l2s demo --stop` stops the server. To start afresh, stop it and delete its folder.
            """)

    @Flag(help: "Stop the demo's server; its data stay.")
    var stop = false

    @Option(
        help: ArgumentHelp(
            "Where the server keeps its data. Default: l2s/postgres in the user's state folder.",
            valueName: "folder"))
    var folder: String?

    @OptionGroup var folders: FolderOptions

    func run() async throws {
        let folder = folder.map { URL(fileURLWithPath: $0).path } ?? PrivateServer.defaultFolder
        guard !stop else { return try await stopServer(folder) }

        let installation = try folders.installation
        let samples = try DemoSamples(
            jobsFolder: installation.jobsFolder,
            jobTypes: loadJobTypes(folder: installation.jobsFolder))
        try expectModels(of: samples.jobTypes, in: installation.modelsFolder)
        let interruption = Interruption()
        let database = try await DemoDatabase(folder: folder)
        try interruption.check()
        try await database.prepare(samples)
        let worker = DemoWorker(
            database: database, installation: installation, interruption: interruption)
        try await worker.finishLeftovers()

        // One after the other, so that each has the machine to itself.
        var together = DemoRun(title: "one call")
        var alone = DemoRun(title: "LLM, one by one")
        func run(_ types: [String], for shown: [String], title: String, _ run: inout DemoRun)
            async throws
        {
            try interruption.check()
            Console.print()
            let jobs = try await database.enqueue(samples, types, shown: shown)
            try await worker.run(jobs.map(\.id), title: title)
            try await database.add(jobs, to: &run)
        }
        try await run(samples.shown, for: samples.shown, title: together.title, &together)
        var compared: Set<String> = []
        for name in samples.shown {
            guard let twin = samples.twin(of: name), compared.insert(twin).inserted
            else { continue }
            try await run([twin], for: [name], title: "\(twin), LLM", &alone)
        }

        let report = DemoReport(samples: samples, together: together, alone: alone)
        Console.print("\n" + report.text)
        Console.print("\n" + nextSteps(database))
        guard report.failures == 0 else {
            Console.note("\(report.failures) documents failed; their errors are above")
            throw ExitCode.foundFaults
        }
    }

    /// Opens all models, so that a missing one is reported before a server is made and documents are
    /// enqueued.
    ///
    /// - Throws: `CheckpointError` for a model that is not there or cannot be read.
    private func expectModels(of jobTypes: [JobType], in folder: String) throws {
        for model in Set(jobTypes.flatMap { [$0.llm, $0.slm].compactMap(\.self) }).sorted() {
            _ = try ModelFolder(path: ModelCache.locate(model, in: folder))
        }
    }

    private func stopServer(_ folder: String) async throws {
        try await blocking {
            guard let server = try PrivateServer.running(folder: folder) else {
                return Console.print("no server runs on \(folder)")
            }
            try server.stop()
            Console.print("stopped the server on \(folder); its data stay there")
        }
    }

    private func nextSteps(_ database: DemoDatabase) -> String {
        let url = database.url.connectionString
        let program = CommandLine.arguments.first ?? "l2s"
        return """
            NEXT STEPS
            The server keeps running. To look around and to hand in documents of your own:

              export L2S_DATABASE_URL='\(url)'
              psql "$L2S_DATABASE_URL" -c 'SELECT * FROM l2s.throughput'
              psql "$L2S_DATABASE_URL" -c "SELECT l2s.enqueue('summarize', 'text …')"
              \(program)-worker
              \(program) status

            To stop it: \(program) demo --stop\(folder.map { " --folder \($0)" } ?? "")
            """
    }
}
