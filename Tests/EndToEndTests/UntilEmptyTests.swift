import Foundation
import Postgres
import TestSupport
import Testing

/// A worker that stops when there is nothing left to do for it.
@Suite(.timeLimit(.minutes(15))) struct UntilEmptyTests {
    @Test func whatIsForLaterIsLeftAndTheGroupIsToldOf() async throws {
        let stand = try await TestStand()
        let ending = try await BuiltProgram("l2s").run(
            ["migrate"], environment: ["L2S_DATABASE_URL": stand.database.connectionString])
        #expect(ending.status == 0, "\(ending.remarks)")
        let listener = try await stand.database.connect()
        try await listener.listen(to: "l2s_groups")
        try await stand.sql.query(
            """
            SELECT l2s.enqueue('summarize', 'A cat.', "group" => 'now'),
                   l2s.enqueue('summarize', 'A dog.', run_at => now() + interval '1 day'),
                   l2s.enqueue('translate-en-it', 'A bird.'), l2s.pause('translate-en-it')
            """)
        let worker = try stand.startWorker("--until-empty", "--http-address", "off")
        #expect(await worker.waitForExit().code == 0, "\(worker.log)")
        #expect(try await stand.count("l2s.jobs WHERE state = 'succeeded'") == 1)
        let line = worker.log.split(separator: "\n").first { $0.contains("left for later") } ?? ""
        #expect(line.contains("scheduled=1") && line.contains("paused=1"), "\(worker.log)")
        #expect(try await listener.waitForNotification(timeout: .seconds(TestDatabase.patience)))
        #expect(try await stand.count("l2s.groups WHERE finished_at IS NOT NULL") == 1)
    }
}
