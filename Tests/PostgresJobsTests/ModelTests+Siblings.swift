import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Siblings: jobs of several types for one text.
extension Play {
    mutating func enqueueSiblings(_ random: inout SeededRandom) async throws -> Int {
        let count = Int.random(in: 1...10, using: &random)
        let group = ["a", nil].randomElement(using: &random) ?? nil
        let later = Int.random(in: 0..<8, using: &random) == 0
        let ids: [Int64] = try await queue.sql.query(
            """
            SELECT unnest(l2s.enqueue(
                ARRAY['translate', 'summarize'], repeat('word ', $2), priority => $3,
                "group" => $4,
                run_at => now() + CASE WHEN $5 THEN '1 day' ELSE '0' END::interval)) AS id
            FROM generate_series(1, $1)
            """,
            [
                .int(count), .int(Int.random(in: 1...400, using: &random)),
                .int(Int.random(in: -1...1, using: &random)), .text(group), .bool(later),
            ]
        ).map { try $0.value("id") }
        for first in stride(from: 0, to: ids.count, by: 2) {
            for id in ids[first...first + 1] {
                documents[id] = Document(
                    state: later ? .delayed : .waiting, group: group,
                    siblings: Array(ids[first...first + 1]))
            }
        }
        return ids.count
    }

    /// Expects that siblings were claimed together where that is possible.
    func expectSiblings(of claim: Claim) {
        guard claim.lengthClass.rawValue < LengthClass.suspects.rawValue else { return }
        let taken = Set(claim.documents.map(\.id))
        for id in taken {
            for sibling in documents[id]?.siblings ?? [] where !taken.contains(sibling) {
                let other = documents[sibling]
                #expect(
                    other?.state != .waiting || (other?.crashes ?? 0) > 0,
                    "document \(sibling) stayed behind \(id)")
            }
        }
    }
}
