import ArgumentParser
import Jobs
import Migrations
import PostgresJobs
import Settings

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create or update schema l2s in the database.",
        discussion: """
            Applies the migrations that the database lacks, then makes the job types of the jobs \
            folder known to it. May be run any number of times, also while workers run. Nothing is \
            changed when a job file is wrong.
            """)

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var folders: FolderOptions

    func run() async throws {
        let jobTypes = try loadJobTypes(folder: folders.installation.jobsFolder)
        let connection = try await database.openUnchecked()
        let applied = try await SchemaMigrator().migrate(connection)
        for migration in applied {
            Console.print("applied \(migration.name)")
        }
        Console.print(
            "schema l2s is at version \(schemaVersion)" + (applied.isEmpty ? " already" : ""))
        try await JobTypeTable.write(jobTypes, connection)
        Console.print("job types: \(jobTypes.map(\.name).joined(separator: ", "))")
    }
}
