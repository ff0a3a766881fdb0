import ArgumentParser
import Jobs
import PostgresJobs

struct Maintain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Drop what is no longer kept, and begin a new partition when it is time.",
        discussion: """
            Workers do this by themselves, one of them for all, once a minute. This command does it \
            now, for a cron job where no worker runs for long. Documents that have been finished for \
            setting.keep (90 days) are deleted with all that is known of them, a partition at a \
            time. A new partition is begun every setting.part_every (1 week):

            UPDATE l2s.setting SET keep = '30 days', part_every = '1 day'
            """)

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        let client = QueueClient(try await database.open())
        let work = try await client.maintain()
        for line in work.done { Console.print(line) }
        for failure in work.failures { Console.note("l2s: \(failure)") }
        if !work.failures.isEmpty { throw ExitCode.foundFaults }
        if work.done.isEmpty { Console.note("there was nothing to do") }
    }
}
