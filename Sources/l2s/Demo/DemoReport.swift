import PostgresJobs

/// What the demo prints at the end, at most 100 columns wide.
struct DemoReport {
    let samples: DemoSamples
    /// All job types of a document in one call.
    let together: DemoRun
    /// The large model, one job type after the other.
    let alone: DemoRun

    var failures: Int { DemoTotals(together).failures + DemoTotals(alone).failures }

    var text: String {
        let documents = samples.all.indices.flatMap { document($0) + [""] }
        return (documents + throughput).joined(separator: "\n")
    }

    private func document(_ index: Int) -> [String] {
        let sample = samples.all[index]
        var lines = line("\(sample.jobType)/\(sample.name)", sample.text)
        for name in samples.shown {
            let place = DemoRun.Place(sample: index, jobType: name)
            if let report = together.reports[place] {
                lines += line("  " + name, report.output ?? "FAILED: \(report.error ?? "")")
                if let numbers = numbers(report) { lines.append(Self.margin + numbers) }
            }
            // A job type that is its own twin would show the same output twice.
            if samples.twin(of: name) != name, let report = alone.reports[place] {
                lines += line("    LLM", report.output ?? "FAILED: \(report.error ?? "")")
            }
        }
        return lines
    }

    private static let labelWidth = 22
    private static let margin = String(repeating: " ", count: labelWidth)

    /// A text beside its label, in as many lines as it takes.
    private func line(_ label: String, _ text: String) -> [String] {
        let lines = text.wrapped(to: 99 - Self.labelWidth)
        return lines.enumerated().map { number, line in
            (number == 0 ? label.padded(to: Self.labelWidth) : Self.margin) + line
        }
    }

    /// Nil for a document that failed.
    private func numbers(_ report: JobReport) -> String? {
        guard let read = report.tokensIn, let written = report.tokensOut else { return nil }
        func words(_ milliseconds: Double?) -> String {
            milliseconds.map { $0.rounded(digits: $0 < 1000 ? 1 : 0) + " ms" } ?? "–"
        }
        let reading =
            report.encodeSource == "batch"
            ? "\(words(report.encode)) in a pass of \(report.batchSize ?? 1)"
            : report.encodeSource ?? "–"
        return "(\(read) tokens read: \(reading); \(written) written: \(words(report.decode)))"
    }

    private var throughput: [String] {
        let totals = [DemoTotals(together), DemoTotals(alone)]
        var table = Columns(
            [("THROUGHPUT", .left)] + [together, alone].map { ($0.title, .right) })
        func add(_ name: String, _ value: (DemoTotals) -> String) {
            table.add([name] + totals.map(value))
        }
        add("documents") { $0.documents.grouped }
        add("outputs") { $0.outputs.grouped }
        add("seconds, first claim to last result") { $0.seconds.rounded(digits: 2) }
        add("documents/s") { (Double($0.documents) / $0.seconds).rounded(digits: 2) }
        add("outputs/s") { (Double($0.outputs) / $0.seconds).rounded(digits: 2) }
        add("tokens read") { $0.tokensRead.grouped }
        add("tokens written") { $0.tokensOut.grouped }
        add("reading, s of all threads") { $0.reading.rounded(digits: 2) }
        add("tokens written/s") { (Double($0.tokensOut) / $0.seconds).rounded(digits: 1) }
        add("outputs that shared a reading") { $0.shared.grouped }
        add("reading saved by sharing, s") { $0.saved.rounded(digits: 2) }
        var lines = table.lines
        if totals[1].outputs > 0 {
            let ratio =
                Double(totals[0].outputs) / totals[0].seconds
                / (Double(totals[1].outputs) / totals[1].seconds)
            lines.append(
                "\(samples.shown.count) outputs of each document in one call: "
                    + "\(ratio.rounded(digits: 2)) times the outputs/s of the LLM one by one")
        }
        return lines
    }
}
