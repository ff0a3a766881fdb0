package import Jobs
import Postgres

extension PostgresJobStore {
    package func finish(
        _ lease: LeaseID, _ documents: [FinishedDocument]
    ) async throws -> FinishReceipt {
        let report = JSONText.array(documents.map(\.report))
        return try await work.run { connection in
            let rows = try await connection.query(
                "SELECT * FROM l2s.complete($1, $2)", [.int(lease.value), .text(report)])
            // A second call costs only the batches that have something to tell.
            if documents.contains(where: { $0.measurements.agreement != nil }) {
                try await connection.query(
                    "SELECT l2s.note_agreement($1, $2)", [.int(lease.value), .text(report)])
            }
            var receipt = FinishReceipt()
            for row in rows {
                let id: Int64 = try row.value("document_id")
                switch try row.value("verdict", as: String.self) {
                case "recorded": receipt.recorded.append(id)
                case "retried": receipt.retried.append(id)
                case "cancelled": receipt.cancelled.append(id)
                case "stale": receipt.stale.append(id)
                case let other:
                    throw DatabaseError.unexpectedValue(
                        column: "verdict", expected: "recorded, retried, cancelled or stale",
                        found: other)
                }
            }
            return receipt
        }
    }
}

extension FinishedDocument {
    /// As `l2s.complete` reads it.
    fileprivate var report: JSONText {
        let (word, output, reason): (String, String?, String?) =
            switch outcome {
            case .succeeded(let output, _): ("succeeded", output, nil)
            case .rejected(let reason): ("rejected", nil, reason)
            case .failed(let reason): ("failed", nil, reason)
            }
        return .object([
            ("id", .int(Int(id))),
            ("outcome", .string(word)), ("output", .string(output)), ("reason", .string(reason)),
            ("mode", .string(measurements.mode)), ("model", .string(measurements.model)),
            ("tokens_in", .int(measurements.tokensIn)),
            ("tokens_out", .int(measurements.tokensOut)),
            ("batch_size", .int(measurements.batchSize)), ("parts", .int(measurements.parts)),
            ("truncated", .bool(measurements.truncated)),
            ("tokenize_ms", .milliseconds(measurements.tokenize)),
            ("batch_wait_ms", .milliseconds(measurements.batchWait)),
            ("encode_ms", .milliseconds(measurements.encode)),
            ("handoff_ms", .milliseconds(measurements.handoff)),
            ("decode_ms", .milliseconds(measurements.decode)),
            ("agreement", measurements.agreement.map(JSONText.double) ?? .null),
        ])
    }
}
