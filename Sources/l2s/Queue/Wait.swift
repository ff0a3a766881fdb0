import ArgumentParser
import PostgresJobs

struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait until all documents of a group are finished.",
        discussion: """
            Prints how far the group is while it waits, and the counts at the end. Exit code 1 when \
            not all documents succeeded. With --json: {"name", "documents", "waiting", "delayed", \
            "running", "succeeded", "failed", "cancelled"}. Programs can listen on channel \
            l2s_groups, which gets the name of each finished group.
            """)

    @Option(help: ArgumentHelp("The group.", valueName: "name"))
    var group: String

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        let client = QueueClient(try await database.open())
        let clock = ContinuousClock()
        var told = clock.now
        while true {
            guard let status = try await client.group(group) else { throw unknownGroup(group) }
            if status.unfinished == 0 {
                if json { try Console.printJSON(status) } else { Console.print(status.text) }
                if status.succeeded < status.documents { throw ExitCode.foundFaults }
                return
            }
            if clock.now - told > .seconds(5) {
                Console.note(status.text)
                told = clock.now
            }
            try await client.waitForGroups(timeout: .milliseconds(500))
        }
    }
}

extension GroupStatus {
    fileprivate var text: String {
        let counts = [
            (waiting, "waiting"), (delayed, "delayed"), (running, "running"),
            (succeeded, "succeeded"), (failed, "failed"), (cancelled, "cancelled"),
        ].filter { $0.0 > 0 }.map { "\($0.0.grouped) \($0.1)" }
        return "\(name): \(documents.grouped) documents, \(counts.joined(separator: ", "))"
    }
}
