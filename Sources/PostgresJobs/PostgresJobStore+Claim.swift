package import Jobs
import Postgres

extension PostgresJobStore {
    package func claim(_ request: ClaimRequest) async throws -> Claim? {
        try await work.run { connection in
            let rows = try await connection.query(
                "SELECT * FROM l2s.claim($1, $2, $3, $4, $5, $6)",
                [
                    .int(request.worker.value), .text(request.encoder), .texts(request.jobTypes),
                    .int(request.maximumDocuments), .int(request.maximumTokens),
                    .duration(request.leaseDuration),
                ])
            return try Claim(rows, encoder: request.encoder)
        }
    }
}

extension Claim {
    /// Nil for no rows.
    fileprivate init?(_ rows: Rows, encoder: String) throws {
        guard let first = rows.first else { return nil }
        let number: Int = try first.value("length_class")
        guard let lengthClass = LengthClass(rawValue: number) else {
            throw DatabaseError.unexpectedValue(
                column: "length_class", expected: "from 0 to \(LengthClass.allCases.count - 1)",
                found: String(number))
        }
        self.init(
            lease: LeaseID(try first.value("lease_id")), encoder: encoder, lengthClass: lengthClass,
            documents: try rows.map { row in
                SourceDocument(
                    id: try row.value("document_id"), jobType: try row.value("job_type"),
                    text: try row.value("body"), attempt: try row.value("attempt"),
                    traceparent: try row.optional("traceparent"))
            })
    }
}
