import ArgumentParser
import PostgresJobs

struct Results: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the results of documents, in the order of their completion.",
        discussion: """
            Prints JSON Lines: {"id", "job_type", "state", "output", "error", "tokens_in", \
            "tokens_out", "cut_off", "key"}. "state" is succeeded, failed or cancelled; absent values \
            are left out. To go on later where the output ended, pass the last key with --after: no \
            result is missed or printed twice. The same from SQL: SELECT * FROM l2s.completed(after \
            => key).
            """)

    @Argument(help: "The ids that l2s.enqueue returned. Default: all documents.")
    var ids: [Int64] = []

    @Option(help: ArgumentHelp("The documents of this group.", valueName: "name"))
    var group: String?

    @Option(help: ArgumentHelp("Only results after the one with this key.", valueName: "key"))
    var after: String?

    @Flag(help: "Wait for more: until all of the group is done, or without --group until Ctrl-C.")
    var follow = false

    @OptionGroup var database: DatabaseOptions

    func validate() throws {
        guard ids.isEmpty || (group == nil && after == nil && !follow) else {
            throw ValidationError("expected either ids, or --group, --after or --follow")
        }
    }

    func run() async throws {
        let client = QueueClient(try await database.open())
        if !ids.isEmpty {
            let found = try await client.results(ids)
            for document in found { try Console.printJSON(document) }
            let missing = Set(ids).subtracting(found.map(\.id)).sorted()
            guard missing.isEmpty else {
                Console.note(
                    "l2s: not finished, or unknown: "
                        + missing.map(String.init).joined(separator: ", "))
                throw ExitCode.foundFaults
            }
            return
        }
        if let group, try await client.group(group) == nil { throw unknownGroup(group) }
        var key = after
        while true {
            // Asked for before the page, which then shows all that was shown at that time.
            let completion =
                if let group { try await client.completion(ofGroup: group) } else {
                    QueueClient.Completion.unfinished
                }
            let page = try await client.completed(after: key, group: group)
            for document in page { try Console.printJSON(document) }
            if let last = page.last {
                key = last.key
            } else if completion == .shown {
                return
            } else if follow {
                try await client.waitForGroups(timeout: .milliseconds(250))
            } else {
                guard completion == .heldBack else { return }
                Console.note(
                    "l2s: the group is finished, but not all of its results can be printed yet, because "
                        + "a transaction that is older than these is open on the server; --follow waits "
                        + "for its end")
                throw ExitCode.foundFaults
            }
        }
    }
}
