import ArgumentParser
import Jobs
import PostgresJobs
import Training

struct DistillJobs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Labels that workers have written to the database already.",
        discussion: """
            Takes the succeeded documents of a job type of mode llm, in order of their ids. Times \
            are when a document was finished, as PostgreSQL reads times: '2026-11-24 08:00', \
            yesterday.
            """)

    @Option(help: ArgumentHelp("Only documents of this group.", valueName: "name"))
    var group: String?

    @Option(help: ArgumentHelp("Only what was finished at or after this time.", valueName: "time"))
    var since: String?

    @Option(help: ArgumentHelp("Only what was finished before this time.", valueName: "time"))
    var until: String?

    @OptionGroup var labels: LabelOptions
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        let jobType = try labels.openJobType()
        let client = QueueClient(try await database.open())
        let writer = try labels.writer()
        let interruption = Interruption()
        try await client.labels(
            QueueClient.LabelSelection(
                jobType: jobType.name, group: group, since: since, until: until)
        ) { label in
            try interruption.check()
            try writer.add(
                PairFilter.Candidate(
                    source: label.document, target: label.output,
                    reading: .init(truncated: label.truncated, parts: label.parts),
                    isOutputCutOff: label.isCutOff))
        }
        try labels.finish(writer)
    }
}
