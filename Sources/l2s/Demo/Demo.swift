import ArgumentParser
import Foundation
import Jobs
import LocalPostgres
import Settings

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show all of it at work, on a database server of its own.",
        discussion: """
            Starts a private PostgreSQL (a Unix socket, no TCP), enqueues the sample documents with \
            SQL, runs l2s-worker until the queue is empty, and prints what came out, first with the \
            small models writing (hybrid), then with the large one doing everything (llm).

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
        let interruption = Interruption()
        let database = try await DemoDatabase(folder: folder)
        try interruption.check()
        try await database.prepare(samples)
        let worker = DemoWorker(
            database: database, installation: installation, interruption: interruption)
        try await worker.finishLeftovers()

        // One mode after the other, so that each has the machine to itself.
        var runs: [DemoRun] = []
        for mode in [JobType.Mode.hybrid, .llm] {
            try interruption.check()
            Console.print("\nEnqueueing for \(mode.rawValue) mode:")
            let jobs = try await database.enqueue(samples, mode: mode)
            Console.print()
            try await worker.run(jobs.map(\.id), title: mode.rawValue)
            runs.append(try await database.run(mode, jobs))
        }

        let report = DemoReport(samples: samples, runs: runs)
        Console.print("\n" + report.text)
        Console.print("\n" + nextSteps(database))
        guard report.failures == 0 else {
            Console.note("\(report.failures) documents failed; their errors are above")
            throw ExitCode.foundFaults
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
