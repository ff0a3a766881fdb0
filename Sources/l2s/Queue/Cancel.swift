import ArgumentParser
import PostgresJobs
import Programs

struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancel documents that are not finished.",
        discussion: """
            Waiting documents are cancelled at once, running ones when their worker hears of it, \
            within a third of its lease. The same from SQL: l2s.cancel and l2s.cancel_group.
            """)

    @Argument(help: "The ids that l2s.enqueue returned.")
    var ids: [Int64] = []

    @Option(help: ArgumentHelp("All documents of this group.", valueName: "name"))
    var group: String?

    @Flag(help: "Print JSON: {\"cancelled\"}, how many.")
    var json = false

    @OptionGroup var database: DatabaseOptions

    func validate() throws {
        guard ids.isEmpty != (group == nil) else {
            throw ValidationError("expected either ids or --group")
        }
    }

    func run() async throws {
        let client = QueueClient(try await database.open())
        var count = 0
        if let group {
            guard try await client.group(group) != nil else { throw unknownGroup(group) }
            count = try await client.cancel(group: group)
        } else {
            count = try await client.cancel(ids)
        }
        if json {
            try Console.printJSON(["cancelled": count])
        } else {
            Console.print("cancelled \(count.grouped) document\(count == 1 ? "" : "s")")
        }
        if count < ids.count {
            let left = ids.count - count
            Console.note(
                "l2s: \(left == 1 ? "one of them is" : "\(left.grouped) of them are") "
                    + "finished, cancelled or unknown")
            throw ExitCode.foundFaults
        }
    }
}

func unknownGroup(_ name: String) -> Failure {
    Failure("no document was ever enqueued with group \(name); view l2s.groups lists the groups")
}
