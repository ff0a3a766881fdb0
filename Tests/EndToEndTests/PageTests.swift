import Foundation
import Postgres
import TestSupport
import Testing

/// The page in a real browser, headless. The pictures stay in `.build/artifacts`.
@Suite(
    .timeLimit(.minutes(15)),
    .enabled(
        if: BuiltProgram(installed: "chromium") != nil,
        "needs chromium: .ci/install-packages --tools"))
struct PageTests {
    private var random = SeededRandom(seed: 666)

    @Test mutating func isDrawnEmptyBusyAndWithFailures() async throws {
        let stand = try await TestStand()
        let jobs = try jobsWithAStrictOne()
        let worker = try stand.startWorker(
            "--http-address", "127.0.0.1:0", "--jobs", jobs.path)
        let address = try await worker.watchAddress()
        try await stand.waitUntilRegistered(worker)
        try await picture(
            "empty", of: address,
            holds: [
                "No document has finished yet.", "summarize-llm",
            ])
        try await stand.sql.query(
            "UPDATE l2s.job_type SET paused = true WHERE name = 'translate-en-it-llm'")
        try await stand.enqueue(60, group: "withdrawn <i>today</i>", using: &random)
        try await stand.enqueue(40, group: "letters", using: &random)
        try await stand.enqueue(1900, group: "nightly-2026-11-24", using: &random)
        try await stand.sql.query("SELECT l2s.cancel_group('withdrawn <i>today</i>', 50)")
        // Keeps the group unfinished until the picture is taken.
        try await stand.sql.query(
            """
            SELECT l2s.enqueue(
                'summarize', 'text', run_at => '2099-01-01', "group" => 'withdrawn <i>today</i>')
            """)
        try await eventually("some are done; \(worker.log)") {
            try await stand.count("l2s.result") > 30
        }
        try await picture(
            "busy", of: address,
            holds: [
                "batch wait", "documents/s", "translate-en-it-llm<em> paused</em>",
                "withdrawn &lt;i&gt;today&lt;/i&gt;", "nightly-2026-11-24", "cancelled/min",
            ])
        try await stand.sql.query(
            """
            SELECT l2s.enqueue('strict', repeat('<b>Long.</b> ', 2000 * n), priority => 9)
            FROM generate_series(1, 3) AS n
            """)
        try await eventually("three failed; \(worker.log)") {
            try await stand.count("l2s.result WHERE NOT succeeded AND NOT cancelled") == 3
        }
        try await stand.sql.query("SELECT l2s.pause()")
        try await eventually("nothing runs any longer; \(worker.log)") {
            try await stand.count("l2s.queue WHERE state = 1") == 0
        }
        try await picture(
            "failures", of: address,
            holds: [
                "dead letters", "tokens", "<b>paused</b><span>until it is empty</span>",
                "<td class=\"n\">paused</td>",
            ])
    }

    /// The title says it, which an operator sees from another tab.
    @Test(
        .enabled(
            if: BuiltProgram(installed: "curl") != nil, "needs curl: .ci/install-packages --tools"))
    func recoversWhenWorkerOrDatabaseComeBack() async throws {
        let stand = try await TestStand(restartable: true)
        var worker = try stand.startWorker("--http-address", "127.0.0.1:0")
        let address = try await worker.watchAddress()
        try await stand.waitUntilRegistered(worker)
        let browser = try Browser("http://\(address)/")
        try await eventually("it shows the queue") { try await browser.title == "idle · l2s" }

        worker.send(SIGKILL)
        _ = await worker.waitForExit()
        try await eventually("it says that the worker is gone") {
            try await browser.title == "no answer · l2s"
        }
        try await stand.sql.query("SELECT l2s.enqueue('summarize', 'text', run_at => '2099-01-01')")
        worker = try stand.startWorker("--http-address", address)
        try await eventually("it shows the queue again; \(worker.log)") {
            try await browser.title == "1 to do · l2s"
        }

        try stand.database.crashServer()
        try await eventually("it says that the database is gone") {
            try await browser.title == "no database · l2s"
        }
        try stand.database.startServer()
        try await eventually("it shows the queue once more; \(worker.log)") {
            try await browser.title == "1 to do · l2s"
        }
    }

    /// Four pictures of the page, after a look at what it says.
    private func picture(_ name: String, of address: String, holds words: [String]) async throws {
        // Chromium takes a page that seems to stand still, on a busy machine before its first event.
        try await eventually("the \(name) page says: \(words)") {
            let dump = try await chromium(["--dump-dom"], address)
            return words.allSatisfy(dump.contains)
        }
        for (width, height, form) in [(1280, 1250, "desktop"), (390, 2200, "phone")] {
            for (scheme, colours) in [(1, "light"), (0, "dark")] {
                let path = try Artifacts.path("page-\(name)-\(form)-\(colours).png")
                try await eventually("\(path) is not blank") {
                    _ = try await chromium(
                        [
                            "--screenshot=\(path)", "--window-size=\(width),\(height)",
                            "--blink-settings=preferredColorScheme=\(scheme)",
                        ], address)
                    let size =
                        try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
                    return size ?? 0 > 10_000
                }
            }
        }
    }

    private func chromium(_ arguments: [String], _ address: String) async throws -> String {
        let profile = try ScratchFolder()
        let browser = try #require(BuiltProgram(installed: "chromium"))
        let ending = try await browser.run(
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--timeout=2000", "--user-data-dir=\(profile.path)",
            ] + arguments + ["http://\(address)/"])
        #expect(ending.status == 0, "\(ending.remarks)")
        return ending.output
    }
}
