import ArgumentParser
import PostgresJobs

struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let workers take no further documents of a job type, or of any.",
        discussion: """
            Running documents are finished, and documents can be enqueued as before. The same from \
            SQL: SELECT l2s.pause('summarize'), or l2s.pause() for the whole queue.
            """)

    @OptionGroup var choice: PausedChoice

    func run() async throws { try await choice.set(paused: true) }
}

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let workers take documents again, after l2s pause.",
        discussion: """
            A job type that was paused by name is resumed by name, the whole queue by --all. The \
            same from SQL: l2s.resume.
            """)

    @OptionGroup var choice: PausedChoice

    func run() async throws { try await choice.set(paused: false) }
}

struct PausedChoice: ParsableArguments {
    @Argument(help: "The job type.")
    var jobType: String?

    @Flag(help: "The whole queue.")
    var all = false

    @OptionGroup var database: DatabaseOptions

    func validate() throws {
        guard (jobType == nil) == all else {
            throw ValidationError("expected either a job type or --all")
        }
    }

    func set(paused: Bool) async throws {
        let client = QueueClient(try await database.open())
        guard try await client.setPaused(paused, jobType: jobType) else {
            throw unknownJobType(jobType ?? "")
        }
        Console.print("\(paused ? "paused" : "resumed") \(jobType ?? "the whole queue")")
    }
}
