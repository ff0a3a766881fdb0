package import Inference
internal import Jobs
package import Scoring

/// What an evaluation found, for JSON, tables and pages.
package struct EvaluationReport: Sendable, Encodable {
    /// A score, and the interval that holds the middle 95 % of its bootstrap resamples.
    package struct Interval: Sendable, Encodable {
        package let score: Double
        package let low: Double
        package let high: Double
    }

    package struct Row: Sendable, Encodable {
        package let variant: String
        package let kind: Variant.Kind
        package let scores: [Scores.Kind: Interval]
        /// The differences to the first row, on the same draws of documents.
        package let differences: [Scores.Kind: Interval]
        /// The share of outputs that equal the first row's.
        package let equalOutputs: Double
        package let failures: Int
        package let tokensIn: Int
        package let tokensOut: Int
        /// Times of one thread.
        package let prepareMsPerDocument: Double
        package let encodeMsPerDocument: Double
        package let decodeMsPerDocument: Double
        package let documentsPerS: Double
        package let tokensPerS: Double
        /// The first row's decoding time per token, divided by this row's; nil where nothing was
        /// written.
        package let decodeSpeed: Double?
        /// Median milliseconds of a document that is processed alone.
        package let aloneMs: Double?
        /// Multiplications and additions of a decoder per token written.
        package let operationsPerToken: Double
        /// Bytes that a decoder reads per token written, when one document is written at a time.
        package let bytesPerToken: Double
        /// The share of proposed tokens that were taken.
        package let acceptance: Double?
        /// The share of documents that the LLM wrote because the SLM was unsure, and the confidence
        /// below which the SLM is.
        package let fallbackShare: Double?
        package let fallbackThreshold: Double?
        /// Tokens written and milliseconds of each document that was processed alone.
        package let alone: [[Double]]
    }

    package let jobType: String
    package let machine: String
    package let threads: Int
    package let documents: Int
    package let dtype: String
    package let stems: Bool
    package let seed: UInt64
    package let resamples: Int
    package let rows: [Row]
    package let fallback: [FallbackCurve]
    /// Variants that these models do not allow, each with its reason.
    package let leftOut: [String]

    package init(
        jobType: String, machine: String, threads: Int, documents: Int, dtype: String,
        stems: Bool, seed: UInt64, resamples: Int, rows: [Row], fallback: [FallbackCurve],
        leftOut: [String]
    ) {
        precondition(!rows.isEmpty, "a report of nothing")
        self.jobType = jobType
        self.machine = machine
        self.threads = threads
        self.documents = documents
        self.dtype = dtype
        self.stems = stems
        self.seed = seed
        self.resamples = resamples
        self.rows = rows
        self.fallback = fallback
        self.leftOut = leftOut
    }
}

extension EvaluationReport.Row {
    /// - Parameters:
    ///   - baseline: the first row's run and scores.
    ///   - cost: the cost of a token for the decoder and, if there is one, for the second model.
    package init(
        _ run: VariantRun, scores: Scores, baseline: (run: VariantRun, scores: Scores),
        cost: (decoder: StepCost, second: StepCost?), bootstrap: Bootstrap
    ) {
        typealias Interval = EvaluationReport.Interval
        let count = Double(max(run.outputs.count, 1))
        let tokens = Double(max(run.tokensOut, 1))
        variant = run.variant.name
        kind = run.variant.kind
        var own: [Scores.Kind: Interval] = [:]
        var differences: [Scores.Kind: Interval] = [:]
        for kind in Scores.Kind.allCases {
            let range = bootstrap.interval { scores.score(kind, of: $0) }
            let score = scores.score(kind, of: scores.documents)
            own[kind] = Interval(score: score, low: range.lowerBound, high: range.upperBound)
            let change = bootstrap.interval {
                scores.score(kind, of: $0) - baseline.scores.score(kind, of: $0)
            }
            differences[kind] = Interval(
                score: score - baseline.scores.score(kind, of: scores.documents),
                low: change.lowerBound, high: change.upperBound)
        }
        self.scores = own
        self.differences = differences
        equalOutputs = Double(zip(run.outputs, baseline.run.outputs).count { $0 == $1 }) / count
        failures = run.failures.count
        tokensIn = run.tokensIn
        tokensOut = run.tokensOut
        prepareMsPerDocument = 1_000 * run.prepare / count
        encodeMsPerDocument = 1_000 * run.encode / count
        decodeMsPerDocument = 1_000 * run.decode / count
        documentsPerS = count / run.seconds
        tokensPerS = tokens / run.seconds
        decodeSpeed =
            run.decode > 0 && baseline.run.tokensOut > 0
            ? (baseline.run.decode / Double(baseline.run.tokensOut)) / (run.decode / tokens) : nil
        let times = run.alone.map(\.milliseconds).sorted()
        aloneMs = times.isEmpty ? nil : times[times.count / 2]
        alone = run.alone.map { [Double($0.tokensOut), $0.milliseconds] }

        let drafted = Double(run.measurements.reduce(0) { $0 + $1.drafted })
        let accepted = Double(run.measurements.reduce(0) { $0 + $1.accepted })
        let unsure = run.variant.jobType.fallback.map { threshold in
            run.measurements.filter { ($0.confidence ?? 1) < threshold }
        }
        acceptance = kind == .speculative && drafted > 0 ? accepted / drafted : nil
        fallbackShare = unsure.map { Double($0.count) / count }
        fallbackThreshold = run.variant.jobType.fallback
        var operations = cost.decoder.operations
        var bytes = cost.decoder.bytes
        if let second = cost.second {
            if kind == .speculative {
                // Each token that was not proposed takes a pass, which also checks the proposals.
                let passes = tokens - accepted
                operations =
                    (operations * (passes + drafted) + second.operations * drafted) / tokens
                bytes = (bytes * passes + second.bytes * drafted) / tokens
            } else if let unsure {
                let again = Double(unsure.reduce(0) { $0 + $1.tokensOut }) / tokens
                operations += again * second.operations
                bytes += again * second.bytes
            }
        }
        operationsPerToken = operations
        bytesPerToken = bytes
    }
}
