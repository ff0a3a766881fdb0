package import Jobs
import Postgres

extension PostgresJobStore {
    package func claim(_ request: ClaimRequest) async throws -> Claim? {
        try await work.run { connection in
            let rows = try await connection.query(
                "SELECT * FROM l2s.claim($1, $2, $3, $4, $5, $6, $7)",
                [
                    .int(request.worker.value), .text(request.encoder), .texts(request.jobTypes),
                    .int(request.maximumDocuments), .int(request.maximumTokens),
                    .duration(request.leaseDuration), .texts(request.fields),
                ])
            return try Claim(rows, encoder: request.encoder, fields: request.fields)
        }
    }
}

extension Claim {
    /// Nil for no rows.
    fileprivate init?(_ rows: Rows, encoder: String, fields: [String]) throws {
        guard let first = rows.first else { return nil }
        let number: Int = try first.value("length_class")
        guard let lengthClass = LengthClass(rawValue: number) else {
            throw DatabaseError.unexpectedValue(
                column: "length_class", expected: "from 0 to \(LengthClass.allCases.count - 1)",
                found: String(number))
        }
        self.init(
            lease: LeaseID(try first.value("lease_id")), encoder: encoder, lengthClass: lengthClass,
            documents: try Self.documents(rows, fields: fields))
    }

    /// The documents in the order of the rows, except that documents of one text stand beside each
    /// other, so that the engine reads them together.
    private static func documents(
        _ rows: Rows, fields: [String]
    ) throws -> [SourceDocument] {
        var ofTexts: [(text: String, documents: [SourceDocument])] = []
        var placeOfText: [Int64: Int] = [:]
        for row in rows {
            let textID: Int64 = try row.value("text_id")
            if placeOfText[textID] == nil {
                placeOfText[textID] = ofTexts.count
                ofTexts.append((try row.value("body"), []))
            }
            guard let place = placeOfText[textID] else { continue }
            ofTexts[place].documents.append(
                SourceDocument(
                    id: try row.value("document_id"), jobType: try row.value("job_type"),
                    text: ofTexts[place].text, attempt: try row.value("attempt"),
                    traceparent: try row.optional("traceparent"),
                    fields: try Self.fields(of: row, fields)))
        }
        return ofTexts.flatMap(\.documents)
    }

    /// The fields that are texts, by name. The column holds them in the order of `names`.
    private static func fields(of row: Row, _ names: [String]) throws -> [String: String] {
        guard !names.isEmpty, let texts: TextArray = try row.optional("fields") else { return [:] }
        return zip(names, texts.elements).reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
}
