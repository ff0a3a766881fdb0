package import Jobs
import Postgres

extension PostgresJobStore {
    package func complete(
        _ worker: WorkerID, _ lease: LeaseID, _ documents: [FinishedDocument]
    ) async throws -> CompletionReceipt {
        var report = RowsText()
        for document in documents { report.add(document) }
        let rows = report.description
        return try await work.run { connection in
            let exceptions = try await connection.query(
                "SELECT * FROM l2s.complete($1, $2, $3)",
                [.int(worker.value), .int(lease.value), .text(rows)])
            // A second call, so that only batches with comparisons pay for it.
            let agreements = documents.compactMap(\.agreement)
            if !agreements.isEmpty {
                try await connection.query(
                    "SELECT l2s.note_agreement($1, $2, $3)",
                    [
                        .int(worker.value), .int(lease.value),
                        .text(JSONText.array(agreements)),
                    ])
            }
            var receipt = CompletionReceipt()
            var unrecorded: Set<Int64> = []
            for row in exceptions {
                let id: Int64 = try row.value("document_id")
                unrecorded.insert(id)
                switch try row.value("verdict", as: String.self) {
                case "retried": receipt.retried.append(id)
                case "cancelled": receipt.cancelled.append(id)
                case "stale": receipt.stale.append(id)
                case let other:
                    throw DatabaseError.unexpectedValue(
                        column: "verdict", expected: "retried, cancelled or stale", found: other)
                }
            }
            receipt.recorded = documents.map(\.id).filter { !unrecorded.contains($0) }
            return receipt
        }
    }
}

extension RowsText {
    /// A row of type `l2s.completion`.
    fileprivate mutating func add(_ document: FinishedDocument) {
        let (word, output, reason): (String, String?, String?) =
            switch document.outcome {
            case .succeeded(let output, _): ("succeeded", output, nil)
            case .rejected(let reason): ("rejected", nil, reason)
            case .failed(let reason): ("failed", nil, reason)
            }
        let measured = document.measurements
        addRow { row in
            row.add(document.id)
            row.add(word)
            row.add(output)
            row.add(reason)
            row.add(measured.mode)
            row.add(measured.model)
            row.add(measured.tokensIn)
            row.add(measured.tokensOut)
            // The column counts the prompts of the encoder's batch. It is 0 if the states came from
            // the cache or from another document's reading.
            row.add(measured.encodeSource?.batchSize ?? 0)
            row.add(measured.encodeSource == .shared)
            row.add(measured.parts)
            row.add(measured.truncated)
            row.add(measured.cutOffParts)
            for stage in measured.stages.all { row.addMilliseconds(stage.time) }
        }
    }
}

extension FinishedDocument {
    /// The agreement as `l2s.note_agreement` reads it; nil if nothing was compared.
    fileprivate var agreement: JSONText? {
        measurements.agreement.map { .object([("id", .int(Int(id))), ("agreement", .double($0))]) }
    }
}
