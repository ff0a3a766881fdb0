import ArgumentParser
import Foundation
import PostgresJobs

struct Trace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show one document's life: every attempt and where the time went.",
        discussion: """
            Times are counted from enqueue. With --json: {"id", "job_type", "state", "attempt", \
            "traceparent", "siblings", "events": [{"at", "name", "milliseconds", "attempt", "worker", \
            "detail"}]}, "at" in seconds since 1970; what is unknown is left out.
            """)

    @Argument(help: "The id that l2s.enqueue returned.")
    var id: Int64

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        guard let trace = try await QueueClient(database.open()).trace(id) else {
            Console.note("l2s: no document has the id \(id)")
            throw ExitCode.foundFaults
        }
        if json { try Console.printJSON(trace) } else { Console.print(trace.text) }
    }
}

extension DocumentTrace {
    fileprivate var text: String {
        let start = events.first?.at ?? 0
        var columns = Columns([("at", .left), ("after", .right), ("", .left), ("", .left)])
        for event in events {
            let facts = [
                event.milliseconds.map { "for \(TimeText.words(seconds: $0 / 1000))" },
                event.attempt.map { isFirstOfAttempt(event) ? "attempt \($0)" : "" },
                event.worker.map { "by \($0)" }, event.detail,
            ].compactMap(\.self).filter { !$0.isEmpty }
            let isStage = event.milliseconds != nil
            columns.add([
                TimeText.clock(event.at), TimeText.words(seconds: event.at - start),
                (isStage ? "  " : "") + TimeText.stage(event.name),
                facts.joined(separator: ", "),
            ])
        }
        let header = "document \(id), \(jobType): \(state)"
        let trace = traceparent.map { ["traceparent \($0)"] } ?? []
        let others = (siblings ?? []).filter { $0 != id }.map(String.init)
        let text = others.isEmpty ? [] : ["the same text: " + others.joined(separator: ", ")]
        return ([header] + trace + text + [""] + columns.lines).joined(separator: "\n")
    }

    private func isFirstOfAttempt(_ event: Event) -> Bool { event.name == "claimed" }
}

/// Times for people.
enum TimeText {
    /// `350 ms`, `12.3 s`, `4.5 min`, `3.2 h`, `2.1 d`.
    static func words(seconds: Double) -> String {
        switch seconds {
        case ..<0: "-" + words(seconds: -seconds)
        case ..<0.0095: "\((seconds * 1000).rounded(digits: 1)) ms"
        case ..<0.9995: "\((seconds * 1000).rounded(digits: 0)) ms"
        case ..<90: "\(seconds.rounded(digits: 1)) s"
        case ..<5400: "\((seconds / 60).rounded(digits: 1)) min"
        case ..<172_800: "\((seconds / 3600).rounded(digits: 1)) h"
        default: "\((seconds / 86400).rounded(digits: 1)) d"
        }
    }

    /// The name of a stage as people read it.
    static func stage(_ name: String) -> String {
        switch name {
        case "batch_wait": "batch wait"
        case "handoff": "hand-off"
        case "writeback": "complete"
        default: name
        }
    }

    /// UTC, to the millisecond.
    static func clock(_ time: Double) -> String {
        Date(timeIntervalSince1970: time)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
