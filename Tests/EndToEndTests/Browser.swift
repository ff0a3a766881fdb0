import Foundation
import TestSupport
import Testing

/// A page that stays open in a real browser, headless.
final class Browser: Sendable {
    private let program: RunningProgram
    private let profile: ScratchFolder

    init(_ url: String) throws {
        guard let chromium = BuiltProgram(installed: "chromium") else { throw POSIXError(.ENOENT) }
        profile = try ScratchFolder()
        program = try chromium.start([
            "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
            "--user-data-dir=\(profile.path)", url,
        ])
    }

    deinit { program.send(SIGTERM) }

    /// The title of the page; nil before it is open.
    var title: String? {
        get async throws {
            struct Target: Decodable {
                let type, title: String
            }
            let file = profile.path + "/DevToolsActivePort"
            guard let ports = try? String(contentsOfFile: file, encoding: .utf8),
                let port = ports.split(separator: "\n").first
            else { return nil }
            // Foundation's client refuses the headers of this server.
            let answer = try await #require(BuiltProgram(installed: "curl"))
                .run(["--silent", "--max-time", "5", "http://127.0.0.1:\(port)/json/list"])
            return try? JSONDecoder().decode([Target].self, from: Data(answer.output.utf8))
                .first { $0.type == "page" }?.title
        }
    }
}
