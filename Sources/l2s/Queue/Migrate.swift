import ArgumentParser
import Jobs
import Migrations
import PostgresJobs
import Settings

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create or update the queue's schema in the database.",
        discussion: """
            Applies the migrations that the database lacks, then makes the job types of the jobs \
            folder known to it. May be run any number of times, also while workers run. Nothing is \
            changed when a job file is wrong. With --json: {"schema", "schema_version", \
            "applied": […], "job_types": […], "missing": [SQL for a superuser that makes the roles]}.
            """)

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var folders: FolderOptions

    func run() async throws {
        let jobTypes = try loadJobTypes(folder: folders.installation.jobsFolder)
        let connection = try await database.openUnchecked()
        let applied = try await SchemaMigrator().migrate(connection)
        if try await QueueClient(connection).adoptCluster() {
            Console.note(
                "l2s: the database was restored, moved or promoted: a new epoch of results begins. "
                    + "Earlier keys of l2s.completed stay valid")
        }
        try await JobTypeTable.write(jobTypes, connection)
        let missing = try await QueueClient(connection).grantRoles()
        let report = try Report(
            schema: SchemaName(database.raw).description, applied: applied.map(\.name),
            jobTypes: jobTypes.map(\.name), missing: missing)
        if json { try Console.printJSON(report) } else { Console.print(report.text) }
        if !missing.isEmpty {
            Console.note(
                "l2s: roles are missing, and this user may not create them. If you need them, let a "
                    + "superuser run the following, then run l2s migrate again:\n"
                    + missing.map { "    \($0)" }.joined(separator: "\n"))
        }
    }

    private struct Report: Encodable {
        let schema: String
        let schemaVersion = l2s.schemaVersion
        let applied, jobTypes: [String]
        /// SQL for a superuser.
        let missing: [String]

        var text: String {
            let version =
                "schema \(schema) is at version \(schemaVersion)"
                + (applied.isEmpty ? " already" : "")
            return
                (applied.map { "applied \($0)" }
                + [version, "job types: \(jobTypes.joined(separator: ", "))"])
                .joined(separator: "\n")
        }
    }
}
