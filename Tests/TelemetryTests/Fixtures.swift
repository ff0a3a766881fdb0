@testable import Telemetry

extension DocumentRecord {
    static func fixture(_ jobType: String, _ outcome: Outcome) -> DocumentRecord {
        let now = ContinuousClock.now
        return DocumentRecord(jobType: jobType, outcome: outcome, claim: now..<now, delivered: now)
    }
}
