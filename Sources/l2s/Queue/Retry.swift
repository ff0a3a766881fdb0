import ArgumentParser
import PostgresJobs

struct Retry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put dead letters into the queue again.",
        discussion: """
            They begin like new documents, with all attempts ahead of them; the earlier attempts stay \
            in view l2s.attempts. Cancelled documents are retried, too, when named by their ids. The \
            same from SQL: l2s.retry.
            """)

    @Argument(help: "The ids that l2s.enqueue returned.")
    var ids: [Int64] = []

    @Option(help: ArgumentHelp("All dead letters of this job type.", valueName: "name"))
    var jobType: String?

    @Option(help: ArgumentHelp("All dead letters of this group.", valueName: "name"))
    var group: String?

    @Flag(help: "Print JSON: {\"enqueued\"}, how many.")
    var json = false

    @OptionGroup var database: DatabaseOptions

    func validate() throws {
        guard ids.isEmpty != (jobType == nil && group == nil) else {
            throw ValidationError("expected either ids, or --job-type or --group")
        }
    }

    func run() async throws {
        let client = QueueClient(try await database.open())
        if let group, try await client.group(group) == nil { throw unknownGroup(group) }
        if let jobType, try await !client.knows(jobType: jobType) { throw unknownJobType(jobType) }
        let count =
            ids.isEmpty
            ? try await client.retryDeadLetters(jobType: jobType, group: group)
            : try await client.retry(ids)
        if json {
            try Console.printJSON(["enqueued": count])
        } else {
            Console.print("enqueued \(count.grouped) document\(count == 1 ? "" : "s") again")
        }
        if count < ids.count {
            let left = ids.count - count
            Console.note(
                left == 1
                    ? "l2s: one of them is no dead letter, or unknown"
                    : "l2s: \(left.grouped) of them are no dead letters, or unknown")
            throw ExitCode.foundFaults
        }
    }
}
