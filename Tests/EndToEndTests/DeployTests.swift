import Foundation
import Postgres
import Settings
import TestSupport
import Testing
import Yams

/// The files of `deploy/` agree with the programs, and with the tools that read them.
@Suite(.timeLimit(.minutes(15))) struct DeployTests {
    private static func text(_ name: String) throws -> String {
        try String(contentsOf: TestStand.root.appending(path: "deploy/\(name)"), encoding: .utf8)
    }

    private static let manifests = ["workers", "migrate", "scaler"].map { "kubernetes/\($0).yaml" }

    private static func manifest(_ name: String) throws -> [String: Any] {
        try #require(try Yams.load(yaml: text("kubernetes/\(name).yaml")) as? [String: Any])
    }

    /// Fields that the API demands, and names that must agree.
    @Test func manifestsAreOfKubernetesAndFitEachOther() throws {
        let (workers, migration, scaler) = (
            try Self.manifest("workers"), try Self.manifest("migrate"), try Self.manifest("scaler")
        )
        for (manifest, kind, version) in [
            (workers, "Deployment", "apps/v1"), (migration, "Job", "batch/v1"),
            (scaler, "ScaledObject", "keda.sh/v1alpha1"),
        ] {
            #expect(Set(manifest.keys) == ["apiVersion", "kind", "metadata", "spec"])
            #expect(manifest["kind"] as? String == kind)
            #expect(manifest["apiVersion"] as? String == version)
            let name = manifest.value("metadata", "name") as? String
            #expect(name?.wholeMatch(of: /[a-z0-9]([-a-z0-9]*[a-z0-9])?/) != nil, "\(kind)")
        }
        let labels = workers.value("spec", "template", "metadata", "labels") as? [String: String]
        let selected = workers.value("spec", "selector", "matchLabels") as? [String: String]
        #expect(selected?.isEmpty == false && selected == labels)
        #expect(migration.value("spec", "template", "spec", "restartPolicy") as? String == "Never")
        let scaled = scaler.value("spec", "scaleTargetRef", "name") as? String
        #expect(scaled == workers.value("metadata", "name") as? String)

        var secrets: Set<String> = []
        for manifest in [workers, migration] {
            let pod = try #require(
                manifest.value("spec", "template", "spec") as? [String: Any])
            #expect(pod.value("securityContext", "runAsNonRoot") as? Bool == true)
            #expect(pod["automountServiceAccountToken"] as? Bool == false)
            let containers = try #require(pod["containers"] as? [[String: Any]])
            for container in containers {
                #expect(container["name"] is String && container["image"] is String)
                #expect(
                    container.value("securityContext", "readOnlyRootFilesystem") as? Bool == true)
                let ports = container["ports"] as? [[String: Any]] ?? []
                let names = Set(ports.compactMap { $0["name"] as? String })
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    guard let get = container.value(probe, "httpGet") as? [String: Any] else {
                        continue
                    }
                    #expect(names.contains(get["port"] as? String ?? ""))
                    #expect(["/healthz", "/readyz"].contains(get["path"] as? String))
                }
                for variable in container["env"] as? [[String: Any]] ?? [] {
                    let secret = variable.value("valueFrom", "secretKeyRef") as? [String: String]
                    #expect((variable["value"] is String) != (secret != nil), "\(variable)")
                    if let secret {
                        secrets.insert("\(secret["name"] ?? "")/\(secret["key"] ?? "")")
                    }
                }
            }
        }
        #expect(secrets == ["l2s-worker/database-url", "l2s-owner/database-url"])
        let trigger = (scaler.value("spec", "triggers") as? [[String: Any]])?.first
        let address = trigger?.value("metadata", "connectionFromEnv") as? String
        #expect(address == SettingName.databaseURL.variable)
    }

    /// Workers and the migration have no more rights than they need, and the policies select the
    /// workers.
    @Test func podsAreConfined() throws {
        let workers = try Self.manifest("workers")
        let labels = workers.value("spec", "selector", "matchLabels") as? [String: String]
        let (network, disruption) = (
            try Self.manifest("network"), try Self.manifest("disruption")
        )
        let guarded = network.value("spec", "podSelector", "matchLabels") as? [String: String]
        let kept = disruption.value("spec", "selector", "matchLabels") as? [String: String]
        #expect(guarded == labels && kept == labels)
        #expect(disruption.value("spec", "maxUnavailable") as? Int == 1)
        for manifest in [workers, try Self.manifest("migrate")] {
            let pod = try #require(manifest.value("spec", "template", "spec") as? [String: Any])
            let profile = pod.value("securityContext", "seccompProfile", "type") as? String
            #expect(profile == "RuntimeDefault")
            for container in pod["containers"] as? [[String: Any]] ?? [] {
                let context = container["securityContext"] as? [String: Any] ?? [:]
                #expect(context["allowPrivilegeEscalation"] as? Bool == false)
                #expect(context.value("capabilities", "drop") as? [String] == ["ALL"])
                let image = container["image"] as? String ?? ""
                #expect(!image.hasSuffix(":latest") && image.contains(":"), "\(image)")
            }
        }
        let memory = workers.value("spec", "template", "spec") as? [String: Any]
        let container = (memory?["containers"] as? [[String: Any]])?.first
        #expect(container?.value("resources", "limits", "memory") is String)
    }

    /// The unit keeps the password from the environment, which others may read, and has a limit.
    @Test func theUnitIsConfined() throws {
        let lines = Set(try Self.text("l2s-worker.service").split(separator: "\n"))
        for line in [
            "LoadCredential=pgpass:/etc/l2s/pgpass", "Environment=PGPASSFILE=%d/pgpass",
            "MemoryMax=80%", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "UMask=0077",
            "SystemCallFilter=~@privileged", "ProtectProc=invisible", "PrivateUsers=yes",
        ] {
            #expect(lines.contains(Substring(line)), "\(line)")
        }
    }

    @Test(arguments: manifests + ["Dockerfile", "l2s-worker.service"])
    func variablesAreSettings(name: String) throws {
        // Besides the worker's own settings, the folder that `l2s fetch` puts models into.
        let known = Set(SettingName.allCases.map(\.variable) + ["L2S_CACHE"])
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
        let stand = try await TestStand()
        let made = try await BuiltProgram("l2s").run(
            ["migrate"], environment: ["L2S_DATABASE_URL": stand.database.connectionString])
        #expect(made.status == 0, "\(made.remarks)")
        let count: Int = try await stand.sql.query(try #require(metadata["query"])).single()
        #expect(count == 0)
        // Documents that no worker may claim do not count.
        try await stand.sql.query(
            "SELECT l2s.enqueue('summarize', 'x') FROM generate_series(1, 9)")
        let query = try #require(metadata["query"])
        #expect(try await stand.sql.query(query).single() == 9)
        try await stand.sql.query(
            "UPDATE l2s.job_type SET concurrent_documents = 4 WHERE name = 'summarize'")
        #expect(try await stand.sql.query(query).single() == 4)
        try await stand.sql.query("SELECT l2s.pause('summarize')")
        #expect(try await stand.sql.query(query).single() == 0)
    }

    /// Checks against the schemas of Kubernetes' own API, which do not include KEDA's.
    @Test(.enabled(if: Linters.python != nil, "needs kubernetes-validate: make .build/tools"))
    func manifestsFollowTheSchemas() async throws {
        let files = ["workers", "migrate", "network", "disruption"].map { name in
            TestStand.root.appending(path: "deploy/kubernetes/\(name).yaml").path()
        }
        let verdict = try await #require(Linters.python)
            .run(["-m", "kubernetes_validate", "--strict"] + files)
        #expect(verdict.status == 0, "\(verdict.output) \(verdict.remarks)")
        #expect((verdict.output + verdict.remarks).matches(of: /passed/).count == files.count)
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
        let path = TestStand.root.appending(path: "deploy/alerts.yaml").path()
        let verdict = try await #require(BuiltProgram(installed: "promtool"))
            .run(["check", "rules", path])
        #expect(verdict.status == 0, "\(verdict.output) \(verdict.remarks)")
        #expect(verdict.output.contains("8 rules found"))
    }

    /// Each alert fires for its own fault, and only then.
    @Test(
        .enabled(
            if: BuiltProgram(installed: "promtool") != nil,
            "needs promtool: .ci/install-packages --tools"))
    func theRulesFire() async throws {
        let folder = try ScratchFolder()
        let rules = TestStand.root.appending(path: "deploy/alerts.yaml").path()
        func fires(_ alert: String, _ labels: String) -> String {
            "{eval_time: 25m, alertname: \(alert), exp_alerts: [\(labels)]}"
        }
        let documents = "l2s_documents_total{instance=\"a\", job_type=\"t\", outcome="
        try folder.write(
            "well.yaml",
            """
            rule_files: [\(rules)]
            tests:
            - interval: 1m
              input_series:
              - {series: 'up{job="l2s", instance="a"}', values: 1x30}
              - {series: 'l2s_store_up{instance="a"}', values: 1x30}
              - {series: 'l2s_pipeline_documents{instance="a"}', values: 5x30}
              - {series: 'l2s_work_waiting{instance="a"}', values: 1x30}
              - {series: 'l2s_leases_lost_total{instance="a"}', values: 2x30}
              - {series: 'l2s_chores_failed_total{instance="a"}', values: 2x30}
              - {series: '\(documents)"succeeded"}', values: 0+60x30}
              - {series: '\(documents)"retried"}', values: 0+1x30}
              - {series: '\(documents)"failed"}', values: 3x30}
              alert_rule_test:
            \(["L2sWorkerDown", "L2sDatabaseAway", "L2sStuck", "L2sNothingMoves", "L2sDeadLetters",
                "L2sRetries", "L2sLeasesLost", "L2sChoresFail"].map { "  - \(fires($0, ""))" }.joined(separator: "\n"))
            """.utf8)
        let severities = [
            ("L2sWorkerDown", "warning", "job: l2s, instance: a"),
            ("L2sDatabaseAway", "critical", "instance: a"),
            ("L2sStuck", "critical", "instance: a"), ("L2sNothingMoves", "critical", nil),
            ("L2sDeadLetters", "warning", "job_type: t"),
            ("L2sRetries", "warning", "job_type: t"), ("L2sLeasesLost", "warning", "instance: a"),
            ("L2sChoresFail", "warning", "instance: a"),
        ]
        // promtool compares summaries too: they are taken from the rules.
        let parsed = try Yams.load(yaml: Self.text("alerts.yaml")) as? [String: Any]
        let group = (parsed?["groups"] as? [[String: Any]])?.first
        let known = group?["rules"] as? [[String: Any]] ?? []
        #expect(known.compactMap { $0["alert"] as? String } == severities.map(\.0))
        let summaries = known.map { rule in
            (rule.value("annotations", "summary") as? String ?? "")
                .replacing("{{ $labels.instance }}", with: "a")
                .replacing("{{ $labels.job_type }}", with: "t")
        }
        let expected = zip(severities, summaries).map { alert, summary in
            let (name, severity, labels) = alert
            let whole =
                "{exp_labels: {severity: \(severity)\(labels.map { ", \($0)" } ?? "")}, "
                + "exp_annotations: {summary: '\(summary)'}}"
            return "  - \(fires(name, whole))"
        }
        // While other workers finish documents, one that finishes none is no standstill.
        let still = expected.filter { $0.contains("L2sNothingMoves") }
        let ill = expected.filter { !still.contains($0) } + ["  - \(fires("L2sNothingMoves", ""))"]
        try folder.write(
            "ill.yaml",
            """
            rule_files: [\(rules)]
            tests:
            - interval: 1m
              input_series:
              - {series: 'up{job="l2s", instance="a"}', values: 0x30}
              - {series: 'l2s_store_up{instance="a"}', values: 0x30}
              - {series: 'l2s_pipeline_documents{instance="a"}', values: 5x30}
              - {series: 'l2s_work_waiting{instance="a"}', values: 1x30}
              - {series: 'l2s_leases_lost_total{instance="a"}', values: 0x20 1x10}
              - {series: 'l2s_chores_failed_total{instance="a"}', values: 0x20 1x10}
              - {series: '\(documents)"succeeded"}', values: 9x30}
              - {series: 'l2s_documents_total{instance="b", job_type="t", outcome="succeeded"}', values: 0+60x30}
              - {series: 'l2s_documents_total{instance="b", job_type="t", outcome="retried"}', values: 0+30x30}
              - {series: 'l2s_documents_total{instance="b", job_type="t", outcome="failed"}', values: 0+1x30}
              alert_rule_test:
            \(ill.joined(separator: "\n"))
            - interval: 1m
              input_series:
              - {series: 'l2s_work_waiting{instance="a"}', values: 1x30}
              - {series: 'l2s_work_waiting{instance="b"}', values: 0x30}
              - {series: '\(documents)"succeeded"}', values: 9x30}
              alert_rule_test:
            \(still.joined(separator: "\n"))
            """.utf8)
        for name in ["well", "ill"] {
            let verdict = try await #require(BuiltProgram(installed: "promtool"))
                .run(["test", "rules", "\(folder.path)/\(name).yaml"])
            #expect(verdict.status == 0, "\(name): \(verdict.output) \(verdict.remarks)")
        }
    }

    /// Checks the queries as recording rules, because promtool parses nothing else.
    @Test(
        .enabled(
            if: BuiltProgram(installed: "promtool") != nil,
            "needs promtool: .ci/install-packages --tools"))
    func theDashboardIsOfGrafanaAndPromQL() async throws {
        let dashboard = try #require(
            try JSONSerialization.jsonObject(with: Data(Self.text("grafana.json").utf8))
                as? [String: Any])
        let panels = try #require(dashboard["panels"] as? [[String: Any]])
        #expect(Set(panels.compactMap { $0["id"] as? Int }).count == panels.count)
        var taken: Set<[Int]> = []
        var rules: [String] = []
        for panel in panels {
            let title = try #require(panel["title"] as? String)
            let place = try #require(panel["gridPos"] as? [String: Int])
            let (x, y) = (place["x"] ?? -1, place["y"] ?? -1)
            #expect(x >= 0 && x + (place["w"] ?? 25) <= 24, "\(title)")
            for column in x..<x + (place["w"] ?? 0) {
                for row in y..<y + (place["h"] ?? 0) {
                    #expect(taken.insert([column, row]).inserted, "\(title) lies on another")
                }
            }
            #expect(panel.value("fieldConfig", "defaults", "unit") is String, "\(title)")
            for target in panel["targets"] as? [[String: Any]] ?? [] {
                let expression = try #require(target["expr"] as? String)
                #expect(!expression.contains("$"), "\(expression)")
                rules.append(
                    "  - {record: 'l2s:panel\(rules.count)', expr: '\(expression)'}")
            }
        }
        #expect(rules.count >= panels.count)
        let folder = try ScratchFolder()
        let path = try folder.write(
            "rules.yaml",
            "groups:\n- name: l2s\n  rules:\n\(rules.joined(separator: "\n"))\n".utf8)
        let verdict = try await #require(BuiltProgram(installed: "promtool"))
            .run(["check", "rules", path])
        #expect(verdict.status == 0, "\(verdict.output) \(verdict.remarks)")
        #expect(verdict.output.contains("\(rules.count) rules found"))
    }

    @Test func everyMetricOfDashboardAndRulesIsServed() async throws {
        let stand = try await TestStand()
        let worker = try stand.startWorker("--http-address", "127.0.0.1:0")
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

/// What `make .build/tools` installs.
enum Linters {
    static var python: BuiltProgram? { installed("python") }
    static var hadolint: BuiltProgram? { installed("hadolint") }

    private static func installed(_ name: String) -> BuiltProgram? {
        let path = TestStand.root.appending(path: ".build/tools/bin/\(name)").path()
        return FileManager.default.isExecutableFile(atPath: path) ? BuiltProgram(path: path) : nil
    }
}

extension [String: Any] {
    /// What lies at the end of a path of keys.
    fileprivate func value(_ path: String...) -> Any? {
        path.reduce(self as Any?) { ($0 as? [String: Any])?[$1] }
    }
}
