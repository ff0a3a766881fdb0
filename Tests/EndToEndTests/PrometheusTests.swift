import Foundation
import TestSupport
import Testing

/// A real Prometheus, from Debian's package, scrapes real workers.
@Suite(
    .timeLimit(.minutes(15)),
    .enabled(
        if: BuiltProgram(installed: "prometheus") != nil,
        "needs prometheus: .ci/install-packages --tools"))
struct PrometheusTests {
    private var random = SeededRandom(seed: 66)

    @Test mutating func scrapesTwoWorkers() async throws {
        let stand = try await TestStand()
        let workers = try (0..<2).map { _ in
            try stand.startWorker("--http-address", "127.0.0.1:0")
        }
        let addresses = [
            try await workers[0].watchAddress(), try await workers[1].watchAddress(),
        ]
        let folder = try ScratchFolder()
        try folder.write(
            "prometheus.yml",
            """
            global: {scrape_interval: 1s}
            scrape_configs:
            - job_name: l2s
              static_configs: [{targets: ["\(addresses.joined(separator: "\", \""))"]}]
            """.utf8)
        // Prometheus cannot choose a free port and report it. The network's port is free again when
        // the network is gone, at once.
        let port = try CuttableNetwork(to: "").port
        let prometheus = try #require(BuiltProgram(installed: "prometheus")).start([
            "--config.file=\(folder.path)/prometheus.yml", "--storage.tsdb.path=\(folder.path)/db",
            "--web.listen-address=127.0.0.1:\(port)",
        ])
        defer { prometheus.send(SIGKILL) }

        // A worker makes the job types known when it registers, maybe after it serves HTTP.
        try await stand.waitUntilRegistered(workers[0])
        try await stand.enqueue(60, using: &random)
        func query(_ expression: String) async throws -> [Sample] {
            let words = expression.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
            guard
                let answer = try? await Answer(
                    "127.0.0.1:\(port)/api/v1/query?query=\(words ?? "")"),
                answer.status == 200
            else { return [] }
            return try JSONDecoder().decode(Reply.self, from: Data(answer.text.utf8)).data.result
        }
        try await eventually("both are up") {
            try await query("up{job=\"l2s\"} == 1").count == 2
        }
        try await eventually("all documents are counted; \(workers[0].log)") {
            try await query("sum(l2s_documents_total{outcome=\"succeeded\"})").first?.number == 60
        }
        // Prometheus asks for OpenMetrics first, which also has types, units and help.
        let metadata = try await Answer(
            "127.0.0.1:\(port)/api/v1/metadata?metric=l2s_stage_duration_seconds")
        #expect(metadata.text.contains("\"unit\":\"seconds\""))
        #expect(
            try await query(
                "histogram_quantile(0.5, sum by (le) (l2s_stage_duration_seconds_bucket))"
            )
            .first?.number ?? 0 > 0)
    }
}

private struct Reply: Decodable {
    struct Data: Decodable { let result: [Sample] }
    let data: Data
}

private struct Sample: Decodable {
    struct Pair: Decodable {
        let number: Double

        init(from decoder: any Decoder) throws {
            var pair = try decoder.unkeyedContainer()
            _ = try pair.decode(Double.self)
            number = Double(try pair.decode(String.self)) ?? .nan
        }
    }
    let value: Pair
    var number: Double { value.number }
}
