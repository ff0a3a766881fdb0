import ArgumentParser
import Foundation
import Postgres
import PostgresJobs

struct Top: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch the queue and the workers live.",
        discussion: """
            Press q or Ctrl-C to leave. Where the output is no terminal, one table is printed. \
            Colours are off with NO_COLOR, plain characters are used where the locale is not \
            UTF-8. With --json, one object is printed, times in seconds but for stages: {"time", \
            "queues", "workers", "points", "stages", "recent", "dead_letters", "dead"}.
            """)

    @Option(help: "Seconds between two looks, 0.2 to 60.")
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
        let look = QueueLook(try await database.open())
        if json {
            return try Console.printJSON(try await look.overview())
        }
        guard !once, let screen = Screen() else {
            let (overview, hour) = try await look.now()
            let view = TopView(overview: overview, hour: hour, style: .plain)
            return Console.print(view.lines(width: 100).joined(separator: "\n"))
        }
        try await watch(look, on: screen)
    }

    /// Until q, Ctrl-C or SIGTERM.
    private func watch(_ look: QueueLook, on screen: Screen) async throws {
        defer { screen.close() }
        var seen: (Overview, [Overview.Point])?
        var trouble: String?
        for await event in screen.events(every: .seconds(interval)) {
            switch event {
            case .leave: return
            case .resize: break
            case .tick:
                do {
                    seen = try await look.now()
                    trouble = nil
                } catch {
                    trouble = "the database does not answer, trying again: \(error)"
                }
            }
            var lines: [String] = []
            if let trouble {
                lines.append(TopStyle.current.bad(trouble.shortened(to: screen.size.columns)))
            }
            if let (overview, hour) = seen {
                let view = TopView(overview: overview, hour: hour, style: .current)
                lines += view.lines(width: screen.size.columns)
            }
            screen.show(lines)
        }
    }
}

/// Asks for an hour at first and then for what is new.
private actor QueueLook {
    private let connection: DatabaseConnection
    private var points: [Int: Overview.Point] = [:]

    init(_ connection: DatabaseConnection) { self.connection = connection }

    func overview() async throws -> Overview { try await JobDesk(connection).overview() }

    func now() async throws -> (Overview, [Overview.Point]) {
        try await connection.connect()
        let since = points.keys.max().map { $0 - Overview.Point.seconds }
        let seen = try await JobDesk(connection).overview(since: since)
        for point in seen.points { points[point.time] = point }
        points = points.filter { Double($0.key) > seen.time - 3600 }
        return (seen, points.values.sorted { $0.time < $1.time })
    }
}
