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

        let plans: [Plans]
    }

    /// Whatever the planner knows or does not, a claim and a finish find their rows by index.
    @Test func noPlanScansAWholeTable() async throws {
        let folder = try ScratchFolder()
        let report = folder.path + "/report.json"
        let ending = try await BuiltProgram("l2s").run([
            "bench", "queue", "--sections", "plans", "--scale", "0.02", "--report", report,
        ])
        #expect(ending.status == 0, "\(ending.remarks)")
        let plans = try JSONDecoder().decode(
            Report.self, from: Data(contentsOf: URL(fileURLWithPath: report))
        ).plans
        #expect(plans.count == 5)
        for plan in plans {
            #expect(plan.full_scans.isEmpty, "\(plan.circumstance): \(plan.full_scans)")
            #expect(plan.plans.contains { $0.contains("queue_ready") }, "\(plan.circumstance)")
        }
    }

    @Test func peersNeedTheirCommand() async throws {
        let ending = try await BuiltProgram("l2s").run(["bench", "queue", "--sections", "peers"])
        #expect(ending.status == 64)
        #expect(ending.remarks.contains("expected --peers"))
    }
}
