import Foundation

/// How documents stand in an input.
enum InputForm {
    /// The whole file is one document.
    case whole
    /// A document per line.
    case text
    /// A JSON object per line.
    case json
}

/// One document of an input, with the other fields of its JSON object.
struct DocumentLine: Decodable {
    var document: String
    var jobType: String?
    var priority: Int?
    var runAt: String?
    var dedupeKey: String?
    var group: String?
    var tenant: String?
    var metadata: Metadata?

    enum CodingKeys: String, CodingKey {
        case document, priority, group, tenant, metadata
        case jobType = "job_type"
        case runAt = "run_at"
        case dedupeKey = "dedupe_key"
    }

    init(document: String) { self.document = document }

    /// - Throws: a `Fault` whose words hold nothing of the document.
    init(_ piece: InputFile.Piece, _ form: InputForm) throws(Fault) {
        guard case .bytes(let bytes) = piece else {
            throw Fault(
                expected: "at most \(InputFile.limit.grouped) bytes", found: "more")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Fault(expected: "UTF-8", found: "bytes that are not")
        }
        guard form == .json else {
            document = text
            return
        }
        let example = "a JSON object such as {\"document\": \"…\"}"
        do {
            self = try JSONDecoder().decode(DocumentLine.self, from: Data(bytes))
        } catch DecodingError.keyNotFound(let key, _) {
            throw Fault(expected: example, found: "no \"\(key.stringValue)\"")
        } catch DecodingError.typeMismatch(_, let context),
            DecodingError.valueNotFound(_, let context)
        {
            guard let key = context.codingPath.first?.stringValue else {
                throw Fault(expected: example, found: "JSON of another kind")
            }
            let kind =
                switch CodingKeys(rawValue: key) {
                case .priority: "a whole number"
                case .metadata: Metadata.form
                default: "a text"
                }
            throw Fault(expected: "JSON whose \"\(key)\" is \(kind)", found: "another value")
        } catch {
            let found = bytes.allSatisfy { $0 == 0x20 || $0 == 0x09 } ? "an empty line" : "no JSON"
            throw Fault(expected: example, found: found)
        }
    }

    struct Fault: Error, Equatable, CustomStringConvertible {
        let expected: String
        let found: String

        /// Completes "line 7: ".
        var description: String { "expected \(expected), found \(found)" }
    }
}
