import ArgumentParser
import Foundation
import Postgres
import PostgresJobs

struct Top: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch the queue and the workers live.",
        discussion: """
            Press q or Ctrl-C to leave. Where the output is no terminal, one table is printed. \
            NO_COLOR switches colours off; plain characters are used where the locale is not \
            UTF-8. With --json, one object is printed, with times in seconds, except for stages: {"time", \
            "rate_s", "tokens", "queues", "groups", "workers", "points", "stages", "recent", \
            "dead_letters", "dead"}.
            """)

    @Option(help: ArgumentHelp("The time between two looks, 0.2 to 60.", valueName: "seconds"))
    var interval = 1.0

    @Flag(help: "Print one table, also on a terminal.")
    var once = false

    @Flag(help: "Print JSON, once.")
    var json = false

    @OptionGroup var database: DatabaseOptions

    func validate() throws {
        guard (0.2...60).contains(interval) else {
            throw ValidationError("expected --interval to be from 0.2 to 60, got \(interval)")
        }
    }

    func run() async throws {
        let queue = QueueWatch(try await database.open())
        if json { return try Console.printJSON(try await queue.look()) }
        guard !once, let screen = Screen() else {
            let view = TopView(overview: try await queue.look(), style: .plain)
            return Console.print(view.lines(width: 100).joined(separator: "\n"))
        }
        try await watch(queue, on: screen)
    }

    /// Draws until q, Ctrl-C or SIGTERM.
    private func watch(_ queue: QueueWatch, on screen: Screen) async throws {
        defer { screen.close() }
        var seen: Overview?
        var trouble: String?
        for await event in screen.events(every: .seconds(interval)) {
            switch event {
            case .leave: return
            case .resize: break
            case .tick:
                do {
                    seen = try await queue.look()
                    trouble = nil
                } catch {
                    trouble = "the database does not answer, trying again: \(error)"
                }
            }
            var lines: [String] = []
            if let trouble {
                lines.append(TopStyle.current.bad(trouble.shortened(to: screen.size.columns)))
            }
            if let seen {
                let view = TopView(overview: seen, style: .current)
                let (width, height) = screen.size
                lines += view.lines(width: width, height: height - lines.count)
            }
            screen.show(lines)
        }
    }
}
