import Jobs

@testable import Telemetry

extension DocumentRecord {
    /// An attempt that failed.
    static func fixture(
        _ jobType: String, willRetry: Bool, _ measurements: Measurements = Measurements()
    ) -> DocumentRecord {
        let now = ContinuousClock.now
        var record = DocumentRecord(
            ClaimedDocument(jobType: jobType, claim: now..<now),
            FinishedDocument(id: 0, outcome: .failed(reason: ""), measurements: measurements),
            delivered: now)
        record.willRetry = willRetry
        return record
    }
}
