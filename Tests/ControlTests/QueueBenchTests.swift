import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15))) struct QueueBenchTests {
    private struct Report: Decodable {
        struct Plans: Decodable {
            let circumstance: String
            let full_scans: [String]
            let plans: [String]
        }

        struct Results: Decodable {
            struct Reading: Decodable {
                let question: String
                let rows: Int
            }

            let readings: [Reading]
        }

        struct Retention: Decodable {
            struct Percentiles: Decodable {
                let count: Int
            }

            struct Times: Decodable {
                let enqueue: Percentiles
            }

            let pieces: Percentiles
            let beside: Times
        }

        let plans: [Plans]
        let results: Results?
        let retention: Retention?
    }

    private func report(_ arguments: [String]) async throws -> Report {
        let folder = try ScratchFolder()
        let path = folder.path + "/report.json"
        let ending = try await BuiltProgram("l2s").run(
            ["bench", "queue", "--report", path] + arguments)
        #expect(ending.status == 0, "\(ending.remarks)")
        return try JSONDecoder().decode(
            Report.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// With any statistics of the planner, a claim and a finish find their rows by index.
    @Test func noPlanScansAWholeTable() async throws {
        let plans = try await report(["--sections", "plans", "--scale", "0.02"]).plans
        #expect(plans.count == 5)
        for plan in plans {
            #expect(plan.full_scans.isEmpty, "\(plan.circumstance): \(plan.full_scans)")
            #expect(plan.plans.contains { $0.contains("queue_ready") }, "\(plan.circumstance)")
        }
    }

    /// The rows read depend on what is asked for and what waits, not on the number of results.
    @Test func readingTakesNoLookAtAllResults() async throws {
        let readings = try #require(
            try await report(["--sections", "results", "--results", "60000", "--scale", "0.026"])
                .results
        ).readings
        for (question, most) in [
            ("l2s status", 1_000), ("l2s.throughput of an hour", 6_000),
            ("1,000 of l2s.completed, from the first", 5_000),
            ("1,000 of l2s.completed, from the middle", 5_000),
            ("1,000 of l2s.completed, of a group", 5_000), ("l2s.jobs, the last 50", 1_000),
        ] {
            let reading = try #require(readings.first { $0.question == question })
            #expect(reading.rows <= most, "\(question)")
        }
    }

    /// Checks no times, because they depend on the machine.
    @Test func retentionIsMeasuredUntilThePartIsGone() async throws {
        let retention = try #require(
            try await report([
                "--sections", "retention", "--keys", "25000", "--retention-seconds", "1",
            ]).retention)
        #expect(retention.pieces.count >= 4)
        #expect(retention.beside.enqueue.count > 0)
    }

    @Test func peersNeedTheirCommand() async throws {
        let ending = try await BuiltProgram("l2s").run(["bench", "queue", "--sections", "peers"])
        #expect(ending.status == 64)
        #expect(ending.remarks.contains("expected --peers"))
    }
}
