import Jobs
import PostgresJobs

/// All samples through all job types, in one call or one type after the other.
struct DemoRun {
    struct Place: Hashable {
        /// The index of the sample.
        let sample: Int
        /// The job type under which the demo shows the output; its twin may have written it.
        let jobType: String
    }

    let title: String
    /// The time from the first claim to the last result, summed over the turns of the run.
    var seconds = 0.0
    var reports: [Place: JobReport] = [:]
}

/// A run's sums; times in s.
struct DemoTotals {
    let documents, outputs, tokensOut, shared, failures: Int
    /// The tokens that the encoder read.
    let tokensRead: Int
    let seconds: Double
    /// The time of all threads in passes of the encoder.
    let reading: Double
    /// The time that the encoder would have taken for the outputs that shared a reading.
    let saved: Double

    init(_ run: DemoRun) {
        let done = run.reports.values.filter { $0.output != nil }
        failures = run.reports.count - done.count
        documents = Set(run.reports.filter { $0.value.output != nil }.keys.map(\.sample)).count
        outputs = done.count
        tokensOut = done.reduce(0) { $0 + ($1.tokensOut ?? 0) }
        let read = done.filter { $0.encodeSource == "batch" }
        tokensRead = read.reduce(0) { $0 + ($1.tokensIn ?? 0) }
        seconds = max(run.seconds, 0.001)
        reading =
            read.reduce(0) { $0 + ($1.encode ?? 0) / Double(max(1, $1.batchSize ?? 1)) } / 1000
        let others = done.filter { $0.encodeSource == "shared" }
        shared = others.count
        let sharedTokens = others.reduce(0) { $0 + ($1.tokensIn ?? 0) }
        saved = reading * Double(sharedTokens) / Double(max(1, tokensRead))
    }
}
