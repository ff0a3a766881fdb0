import ArgumentParser
import Foundation
import PostgresJobs
import Programs

struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say when a job type or a group will be done, and how much by a given time.",
        discussion: """
            The rates are those of the last five minutes, with the workers that run and whatever \
            else they do. With --group, there is a plan for each job type that the group has \
            documents of. With --json, a line for each plan: {"job_type", "paused", "workers", "documents", "delayed", \
            "tokens", "documents_per_s", "tokens_per_s", "done_in_s", "left_s", "done_by_then"}; \
            what is unknown is left out.
            """)

    @Option(
        name: [.long, .customLong("job")],
        help: ArgumentHelp("The documents of this job type.", valueName: "name"))
    var jobType: String?

    @Option(help: ArgumentHelp("The documents of this group.", valueName: "name"))
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
        guard jobType != nil || group != nil else {
            throw ValidationError("expected --job-type, --group or both")
        }
    }

    func run() async throws {
        // A time of day means today's.
        let time = by.map { $0.prefix { $0 != " " }.contains(":") ? "today \($0)" : $0 }
        let client = QueueClient(try await database.open())
        let plans = try await client.plans(jobType: jobType, group: group, by: time)
        if json {
            for plan in plans { try Console.printJSON(plan) }
        } else if !plans.isEmpty {
            Console.print(plans.map(\.text).joined(separator: "\n\n"))
        }
        guard plans.isEmpty else { return }
        if let jobType, try await !client.knows(jobType: jobType) { throw unknownJobType(jobType) }
        if let group {
            guard try await client.group(group) != nil else { throw unknownGroup(group) }
            Console.note("group \(group): nothing is left to do")
        }
    }
}

func unknownJobType(_ name: String) -> Failure {
    Failure("no job type is called \(name); l2s status lists them")
}

extension WorkPlan {
    fileprivate var text: String {
        [work, fleet, rates, end, leftS.flatMap(byThen)].compactMap(\.self).joined(separator: "\n")
    }

    private var work: String {
        guard documents > 0 else { return "\(jobType): nothing is left to do" }
        return "\(jobType): \(documents.grouped) "
            + (documents == 1 ? "document waits or runs" : "documents wait or run")
            + (delayed > 0 ? ", \(delayed.grouped) of them delayed" : "")
            + ", about \(tokens.grouped) tokens"
    }

    private var fleet: String {
        switch workers {
        case 0: "no worker is alive: start l2s-worker"
        case 1: "1 worker is alive"
        default: "\(workers.grouped) workers are alive"
        }
    }

    private var rates: String? {
        guard let documentsPerS, let tokensPerS else { return nil }
        return "measured: \(documentsPerS.rounded(digits: 1)) documents/s, "
            + "\(tokensPerS.rounded(digits: 0)) tokens/s (the last five minutes)"
    }

    /// Nil when there is nothing to be done.
    private var end: String? {
        guard documents > 0 else { return nil }
        let hold = paused ? "paused, so nothing of it is claimed: see l2s resume" : nil
        guard let doneInS else {
            return hold ?? "no document of it finished in the last five minutes: no rate to go by"
        }
        let duration = TimeText.words(seconds: doneInS)
        if let hold { return "\(hold); at this rate it takes \(duration) from then on" }
        guard workers > 0 else { return "at this rate it takes \(duration)" }
        let end = TimeText.clock(Date().timeIntervalSince1970 + doneInS).prefix(19)
        return "done in \(duration), at \(end)Z"
    }

    private func byThen(in left: Double) -> String? {
        guard left >= 0 else { return "that time was \(TimeText.words(seconds: -left)) ago" }
        guard documents > 0 else { return nil }
        let words = "by then, in \(TimeText.words(seconds: left)): "
        if paused || workers == 0 { return words + "none, as it is now" }
        guard let doneByThen else { return words + "unknown without a rate" }
        return words + "\(doneByThen.grouped) of \(documents.grouped) documents"
    }
}
