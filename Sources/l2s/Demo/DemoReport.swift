import Jobs
import PostgresJobs

/// All samples in one mode.
struct DemoRun {
    let mode: JobType.Mode
    /// From the first claim to the last result.
    let seconds: Double
    /// By the sample's place.
    let reports: [Int: JobReport]
}

/// What the demo prints at the end, at most 100 columns wide.
struct DemoReport {
    let samples: DemoSamples
    let runs: [DemoRun]

    var failures: Int {
        runs.reduce(0) { $0 + $1.reports.values.count { $0.output == nil } }
    }

    var text: String {
        let documents = samples.sampled.flatMap { type in
            ["", type.uppercased(), columns]
                + samples.all.indices.filter { samples.all[$0].jobType == type }.flatMap(document)
        }
        return (documents + [""] + throughput).joined(separator: "\n")
    }

    private static var stages: [(name: String, time: (JobReport) -> Double?)] {
        [
            ("queue", \.queue), ("tokenize", \.tokenize), ("wait", \.batchWait),
            ("encode", \.encode), ("hand-off", \.handoff), ("decode", \.decode),
            ("complete", \.writeback),
        ]
    }

    private var columns: String {
        let names = Self.stages.map { $0.name.padded(to: 9, .right) }.joined()
        return "".padded(to: 10) + "tokens in".padded(to: 10, .right) + "out".padded(to: 6, .right)
            + names + "  (ms)"
    }

    private func document(_ index: Int) -> [String] {
        let sample = samples.all[index]
        var lines = [line(sample.name, "source", sample.text)]
        for run in runs {
            guard let report = run.reports[index] else { continue }
            guard let output = report.output else {
                lines.append(line("", run.mode.rawValue, "FAILED: \(report.error ?? "")"))
                continue
            }
            lines.append(line("", run.mode.rawValue, output))
            lines.append(numbers(report))
        }
        return lines
    }

    private func line(_ name: String, _ label: String, _ text: String) -> String {
        "\(name.padded(to: 3)) \(label.padded(to: 6)) \(text.shortened(to: 88))"
    }

    private func numbers(_ report: JobReport) -> String {
        let times = Self.stages.map { stage in
            (stage.time(report).map { $0.rounded(digits: $0 < 1000 ? 1 : 0) } ?? "–")
                .padded(to: 9, .right)
        }
        return "".padded(to: 10) + (report.tokensIn ?? 0).grouped.padded(to: 10, .right)
            + (report.tokensOut ?? 0).grouped.padded(to: 6, .right) + times.joined()
    }

    private var throughput: [String] {
        let totals = runs.map(Totals.init)
        var table = Columns(
            [("THROUGHPUT", .left)] + runs.map { ($0.mode.rawValue, .right) })
        func add(_ name: String, _ value: (Totals) -> String) {
            table.add([name] + totals.map(value))
        }
        add("documents") { $0.documents.grouped }
        add("tokens in") { $0.tokensIn.grouped }
        add("tokens out") { $0.tokensOut.grouped }
        add("seconds, first claim to last result") { $0.seconds.rounded(digits: 2) }
        add("documents/s") { $0.documentsPerSecond.rounded(digits: 1) }
        add("tokens out/s") { $0.tokensOutPerSecond.rounded(digits: 1) }
        add("decode ms per token") { $0.decodePerToken.rounded(digits: 2) }
        add("encode ms of a batch, p50") { $0.encode.rounded(digits: 1) }
        add("decode ms of a document, p50") { $0.decode.rounded(digits: 1) }
        var lines = table.lines
        if totals.count == 2, totals[1].documentsPerSecond > 0 {
            let ratio = totals[0].documentsPerSecond / totals[1].documentsPerSecond
            lines.append(
                "\(runs[0].mode.rawValue) does \(ratio.rounded(digits: 2)) times the "
                    + "documents of \(runs[1].mode.rawValue) in the same time")
        }
        return lines
    }
}

/// One mode's sums and medians; times in ms.
private struct Totals {
    let documents, tokensIn, tokensOut: Int
    let seconds, decodePerToken, encode, decode: Double
    var documentsPerSecond: Double { Double(documents) / seconds }
    var tokensOutPerSecond: Double { Double(tokensOut) / seconds }

    init(_ run: DemoRun) {
        let done = run.reports.values.filter { $0.output != nil }
        documents = done.count
        tokensIn = done.reduce(0) { $0 + ($1.tokensIn ?? 0) }
        tokensOut = done.reduce(0) { $0 + ($1.tokensOut ?? 0) }
        seconds = max(run.seconds, 0.001)
        decodePerToken = done.reduce(0) { $0 + ($1.decode ?? 0) } / Double(max(1, tokensOut))
        encode = median(done.compactMap(\.encode))
        decode = median(done.compactMap(\.decode))
    }
}

private func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return .nan }
    let sorted = values.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
