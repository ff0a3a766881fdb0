internal import Foundation
internal import Plots

extension EvaluationReport {
    /// Writes README.md, evaluation.json and the pictures into `folder`.
    ///
    /// - Parameter command: the command that made the report, so that it can be made again.
    package func write(to folder: String, json: String, command: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        func write(_ name: String, _ text: String) throws {
            try Data(text.utf8).write(to: URL(filePath: folder + "/" + name), options: .atomic)
        }
        try write("quality-time.svg", Plot.svg([qualityPlot]))
        try write("time-length.svg", Plot.svg([lengthPlot]))
        if !fallback.isEmpty { try write("fallback.svg", Plot.svg([fallbackPlot])) }
        try write("evaluation.json", json + "\n")
        try write("README.md", page(command: command))
    }

    private func page(command: String) -> String {
        """
        # \(jobType): what each way to write costs and gives

        \(documents) documents, \(dtype) unless a row says otherwise, \(threads) threads on \(machine). Made by

            \(command)

        Scores with 95 % intervals (\(resamples) bootstrap resamples of the documents, seed \(seed)); \
        ROUGE \(stems ? "with" : "without") stemming. Differences are to `\(rows[0].variant)`, on the \
        same resamples.

        \(qualityTable)

        ![Quality against time](quality-time.svg)

        \(differenceTable)

        Time of one thread per document, by stage; documents and tokens written per second of all \
        threads, batched as the job type says; decoding speed per token as a multiple of \
        `\(rows[0].variant)`; the median time of a document alone. Operations and bytes per token are \
        the decoder's, bytes those of one document at a time.

        \(timeTable)

        ![Time against output length, one document at a time](time-length.svg)
        \(fallbackText)\(leftOutText)
        """
    }

    private func table(_ header: [String], _ rows: [[String]]) -> String {
        let rule = header.indices.map { $0 == 0 ? "---" : "---:" }
        return ([header, rule] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
            .joined(separator: "\n")
    }

    private var qualityTable: String {
        table(
            ["variant"] + Scores.Kind.allCases.map(\.name) + [
                "outputs equal to \(rows[0].variant)"
            ],
            rows.map { row in
                [row.variant]
                    + Scores.Kind.allCases.map { kind in
                        row.scores[kind].map {
                            "\($0.score.text(1)) [\($0.low.text(1)), \($0.high.text(1))]"
                        } ?? ""
                    } + ["\((100 * row.equalOutputs).text(0)) %"]
            })
    }

    private var differenceTable: String {
        table(
            ["against \(rows[0].variant)"] + Scores.Kind.allCases.map(\.name),
            rows.dropFirst().map { row in
                [row.variant]
                    + Scores.Kind.allCases.map { kind in
                        row.differences[kind].map {
                            "\($0.score.signed(1)) [\($0.low.signed(1)), \($0.high.signed(1))]"
                        } ?? ""
                    }
            })
    }

    private var timeTable: String {
        table(
            [
                "variant", "tokenize ms", "encode ms", "decode ms", "documents/s", "tokens/s",
                "decode speed", "alone ms", "Mflop/token", "MB/token", "",
            ],
            rows.map { row in
                [
                    row.variant, row.prepareMsPerDocument.text(2), row.encodeMsPerDocument.text(2),
                    row.decodeMsPerDocument.text(2), row.documentsPerS.text(1),
                    row.tokensPerS.text(0), (row.decodeSpeed?.text(2) ?? "–") + " ×",
                    row.aloneMs?.text(1) ?? "–",
                    (row.operationsPerToken / 1e6).text(2), (row.bytesPerToken / 1e6).text(2),
                    row.remark,
                ]
            })
    }

    private var fallbackText: String {
        guard let best = fallback.max(by: { $0.gain < $1.gain }) else { return "" }
        let gains = fallback.map { "\($0.measure) \($0.gain.signed(2))" }
            .joined(separator: ", ")
        return """

            ## Falling back

            The documents that the SLM was least sure of, written by the LLM instead, at every share. Points \
            gained over as many documents chosen at random, on average over the shares: \(gains). \
            `fallback` of a job file goes by the first; here the \(best.measure) separates best.

            ![ROUGE-L against the share of documents written by the LLM](fallback.svg)

            """
    }

    private var leftOutText: String {
        leftOut.isEmpty
            ? "" : "\nNot here: " + leftOut.joined(separator: "; ") + ".\n"
    }

    // MARK: Pictures

    private var qualityPlot: Plot {
        Plot(
            title: "\(jobType): quality against time, \(documents) documents",
            horizontal: "milliseconds of one thread per document, all stages",
            vertical: "ROUGE-L",
            series: rows.map { row in
                let time =
                    row.prepareMsPerDocument + row.encodeMsPerDocument + row.decodeMsPerDocument
                let found = row.scores[.rougeL]
                return Plot.Series(
                    row.variant, [(time, found?.score ?? 0)], style: .points,
                    intervals: found.map { [$0.low...$0.high] } ?? [])
            }, startsAtZero: false)
    }

    /// Medians of documents with outputs of about the same length.
    private var lengthPlot: Plot {
        Plot(
            title: "\(jobType): one document at a time",
            horizontal: "tokens written", vertical: "milliseconds, median",
            series: rows.map { row in
                let sorted = row.alone.sorted { $0[0] < $1[0] }
                let size = max(1, (sorted.count + 5) / 6)
                // Outputs that end at the limit all have the same length, so they are one group.
                let groups = stride(from: 0, to: sorted.count, by: size).map {
                    Array(sorted[$0..<min($0 + size, sorted.count)])
                }.reduce(into: [[[Double]]]()) { groups, group in
                    if groups.last?.last?[0] == group.last?[0], let last = groups.indices.last {
                        groups[last] += group
                    } else {
                        groups.append(group)
                    }
                }
                return Plot.Series(
                    row.variant,
                    groups.map { (median($0.map { $0[0] }), median($0.map { $0[1] })) })
            })
    }

    private var fallbackPlot: Plot {
        let ends = fallback.first.map { [$0.points[0], $0.points[$0.points.count - 1]] } ?? []
        return Plot(
            title: "\(jobType): falling back to the LLM",
            horizontal: "share of documents written by the LLM", vertical: "ROUGE-L",
            series: fallback.map { curve in
                Plot.Series(curve.measure, curve.points.map { ($0.share, $0.score) })
            } + [
                Plot.Series(
                    "chosen at random", ends.map { ($0.share, $0.score) }, style: .dashes)
            ], startsAtZero: false)
    }
}

extension EvaluationReport.Row {
    /// What is special about the variant; often empty.
    package var remark: String {
        if let acceptance { return "\((100 * acceptance).text(0)) % of proposals taken" }
        if let fallbackShare, let fallbackThreshold {
            return
                "\((100 * fallbackShare).text(0)) % by the LLM (below \(fallbackThreshold.text(2)))"
        }
        return failures > 0 ? "\(failures) failed" : ""
    }
}

private func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
}

extension Double {
    fileprivate func text(_ digits: Int) -> String {
        isFinite ? String(format: "%.\(digits)f", self) : "–"
    }

    fileprivate func signed(_ digits: Int) -> String {
        isFinite ? String(format: "%+.\(digits)f", self) : "–"
    }
}
