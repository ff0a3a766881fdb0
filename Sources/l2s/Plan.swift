import ArgumentParser
import Foundation
import PostgresJobs

struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say when a job type or a group will be done, and how much by a given time.",
        discussion: """
            The rates are those of the last five minutes, with the workers that run and whatever \
            else they do. With --json: {"job_type", "paused", "workers", "documents", "delayed", \
            "tokens", "documents_per_s", "tokens_per_s", "done_in_s", "left_s", "done_by_then"}; \
            what is unknown is left out; of a group, a line for each job type in it.
            """)

    @Option(help: ArgumentHelp("The job type.", valueName: "type"))
    var job: String?

    @Option(help: ArgumentHelp("The group.", valueName: "name"))
    var group: String?

    @Option(
        help: ArgumentHelp(
            "Say how many will be done by then: a time as PostgreSQL reads it, such as 18:00 UTC.",
            valueName: "time"))
    var by: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var database: DatabaseOptions

    func validate() throws {
        guard (job == nil) != (group == nil) else {
            throw ValidationError("expected either --job or --group")
        }
    }

    func run() async throws {
        // A time of day means today's.
        let time = by.map { $0.prefix { $0 != " " }.contains(":") ? "today \($0)" : $0 }
        let desk = JobDesk(try await database.open())
        if let group {
            let plans = try await desk.plan(group: group, by: time)
            for plan in plans {
                if json { try Console.printJSON(plan) } else { Console.print(plan.text) }
            }
            if plans.isEmpty {
                guard try await desk.group(group) != nil else { throw unknownGroup(group) }
                Console.note("group \(group): nothing is left to do")
            }
        } else if let job {
            guard let plan = try await desk.plan(job, by: time) else {
                Console.note("l2s: no job type is called \(job); l2s status lists them")
                throw ExitCode.foundFaults
            }
            if json { try Console.printJSON(plan) } else { Console.print(plan.text) }
        }
    }
}

extension WorkPlan {
    fileprivate var text: String {
        var lines = [
            "\(jobType): \(documents.grouped) documents wait or run"
                + (delayed > 0 ? ", \(delayed.grouped) of them delayed" : "")
                + ", about \(tokens.grouped) tokens",
            workers == 1 ? "1 worker is alive" : "\(workers) workers are alive",
        ]
        if paused { lines.append("the job type is paused: nothing of it is claimed") }
        if let documentsPerS, let tokensPerS {
            lines.append(
                "measured: \(documentsPerS.rounded(digits: 1)) documents/s, "
                    + "\(tokensPerS.rounded(digits: 0)) tokens/s (the last five minutes)")
        }
        if documents == 0 {
            lines.append("done: nothing waits")
        } else if let doneInS {
            let end = TimeText.clock(Date().timeIntervalSince1970 + doneInS).prefix(19)
            lines.append("done in \(TimeText.words(seconds: doneInS)), at \(end)Z")
        } else {
            lines.append("no document of it finished in the last five minutes: no rate to go by")
        }
        if let leftS {
            lines.append(
                leftS < 0
                    ? "that time was \(TimeText.words(seconds: -leftS)) ago"
                    : "by then, in \(TimeText.words(seconds: leftS)): "
                        + (doneByThen.map { "\($0.grouped) of \(documents.grouped) documents" }
                            ?? "unknown without a rate"))
        }
        return lines.joined(separator: "\n")
    }
}
