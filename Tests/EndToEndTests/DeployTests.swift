import Foundation
import Postgres
import Settings
import TestSupport
import Testing
import Yams

/// The files of `deploy/` against what they speak of.
@Suite(.timeLimit(.minutes(2))) struct DeployTests {
    private static func text(_ name: String) throws -> String {
        try String(contentsOf: Bench.root.appending(path: "deploy/\(name)"), encoding: .utf8)
    }

    private static let manifests = ["workers", "migrate", "scaler"].map { "kubernetes/\($0).yaml" }

    @Test(arguments: manifests)
    func manifestsAreOfKubernetes(name: String) throws {
        let manifest = try #require(try Yams.load(yaml: Self.text(name)) as? [String: Any])
        for (kind, version) in [
            "Deployment": "apps/v1", "Job": "batch/v1", "ScaledObject": "keda.sh/v1alpha1",
        ] where manifest["kind"] as? String == kind {
            #expect(manifest["apiVersion"] as? String == version)
        }
        #expect((manifest["metadata"] as? [String: Any])?["name"] is String)
        #expect(Set(manifest.keys) == ["apiVersion", "kind", "metadata", "spec"])
        let spec = try #require(manifest["spec"] as? [String: Any])
        guard let template = spec["template"] as? [String: Any] else { return }
        let pod = try #require(template["spec"] as? [String: Any])
        let containers = try #require(pod["containers"] as? [[String: Any]])
        #expect(containers.allSatisfy { $0["image"] is String && $0["env"] is [[String: Any]] })
    }

    @Test(arguments: manifests + ["Dockerfile", "l2s-worker.service"])
    func variablesAreSettings(name: String) throws {
        let known = Set(SettingName.allCases.map(\.variable))
        let used = Set(try Self.text(name).matches(of: /L2S_[A-Z_]+/).map { String($0.output) })
        #expect(!used.isEmpty)
        #expect(used.subtracting(known) == [])
    }

    @Test func theScalerCountsTheQueue() async throws {
        let manifest = try Self.text("kubernetes/scaler.yaml")
        let object = try Yams.load(yaml: manifest) as? [String: Any]
        let spec = object?["spec"] as? [String: Any]
        let trigger = (spec?["triggers"] as? [[String: Any]])?.first
        let metadata = try #require(trigger?["metadata"] as? [String: String])
        let bench = try await Bench()
        let count: Int = try await bench.sql.query(try #require(metadata["query"])).single()
        #expect(count == 0)
    }

    @Test func theImageHoldsWhatIsThere() throws {
        let lines = try Self.text("Dockerfile").split(separator: "\n")
        let copied = lines.filter { $0.hasPrefix("COPY ") && !$0.contains("--from") }
        #expect(copied.count == 4)
        for line in copied {
            for source in line.split(separator: " ").dropFirst().dropLast() {
                let path = Bench.root.appending(path: String(source)).path()
                #expect(FileManager.default.fileExists(atPath: path), "\(line)")
            }
        }
    }

    @Test(
        .enabled(
            if: BuiltProgram(installed: "systemd-analyze") != nil,
            "needs systemd-analyze: .ci/install-packages --tools"))
    func theUnitIsOfSystemd() async throws {
        let folder = try ScratchFolder()
        // It looks for the program, too.
        let unit = try Self.text("l2s-worker.service")
            .replacing("/usr/local/bin/l2s-worker", with: BuiltProgram("l2s-worker").path)
        let path = try folder.write("l2s-worker.service", unit.utf8)
        let verdict = try await #require(BuiltProgram(installed: "systemd-analyze"))
            .run(["verify", "--man=no", path])
        #expect(verdict.status == 0, "\(verdict.remarks)")
        #expect(!verdict.remarks.contains("l2s-worker.service"), "\(verdict.remarks)")
    }

    @Test(
        .enabled(
            if: BuiltProgram(installed: "promtool") != nil,
            "needs promtool: .ci/install-packages --tools"))
    func theRulesAreOfPrometheus() async throws {
        let path = Bench.root.appending(path: "deploy/alerts.yaml").path()
        let verdict = try await #require(BuiltProgram(installed: "promtool"))
            .run(["check", "rules", path])
        #expect(verdict.status == 0, "\(verdict.output) \(verdict.remarks)")
        #expect(verdict.output.contains("6 rules found"))
    }

    @Test func everyMetricOfDashboardAndRulesIsServed() async throws {
        let bench = try await Bench()
        let worker = try bench.startWorker("--http-address", "127.0.0.1:0")
        let page = try await Answer("\(try await worker.watchAddress())/metrics").text
        let served = Set(page.matches(of: /(?m)^([a-z0-9_]+)[ {]/).map { String($0.output.1) })
        let dashboard = try Self.text("grafana.json")
        _ = try JSONSerialization.jsonObject(with: Data(dashboard.utf8))
        for text in [dashboard, try Self.text("alerts.yaml")] {
            let used = Set(
                text.matches(of: /\b(?:l2s|process)_[a-z_]+/).map { String($0.output) })
            #expect(used.count >= 3)
            #expect(used.subtracting(served) == [])
        }
        // Their labels have the values that are asked for.
        for value in [
            "outcome=\"succeeded\"", "outcome=\"failed\"", "outcome=\"rejected\"",
            "outcome=\"retried\"", "place=\"handoff\"",
        ] {
            #expect(page.contains(value))
        }
    }
}
