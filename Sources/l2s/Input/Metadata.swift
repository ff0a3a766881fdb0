import ArgumentParser
import Foundation

/// The metadata of a document: a JSON object of any content.
struct Metadata: Decodable {
    static let form = "a JSON object without U+0000, such as {\"traceparent\": \"00-…\"}"

    let json: String
    /// The members of the metadata that are texts.
    let texts: [String: String]

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer().decode(Value.self)
        guard case .object(let members) = value, value.isStorable else {
            throw DecodingError.typeMismatch(
                Metadata.self,
                .init(codingPath: decoder.codingPath, debugDescription: "expected \(Self.form)"))
        }
        texts = members.compactMapValues { if case .text(let text) = $0 { text } else { nil } }
        json = String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    /// Any JSON. Numbers keep 38 digits.
    private enum Value: Codable {
        case null, bool(Bool), number(Decimal), text(String), array([Value])
        case object([String: Value])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let value = try? container.decode(Bool.self) {
                self = .bool(value)
            } else if let value = try? container.decode(Decimal.self) {
                self = .number(value)
            } else if let value = try? container.decode(String.self) {
                self = .text(value)
            } else if let value = try? container.decode([Value].self) {
                self = .array(value)
            } else {
                self = .object(try container.decode([String: Value].self))
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .null: try container.encodeNil()
            case .bool(let value): try container.encode(value)
            case .number(let value): try container.encode(value)
            case .text(let value): try container.encode(value)
            case .array(let values): try container.encode(values)
            case .object(let members): try container.encode(members)
            }
        }

        var isStorable: Bool {
            switch self {
            case .text(let text): !text.unicodeScalars.contains("\0")
            case .array(let values): values.allSatisfy(\.isStorable)
            case .object(let members):
                members.allSatisfy { !$0.key.unicodeScalars.contains("\0") && $0.value.isStorable }
            case .null, .bool, .number: true
            }
        }
    }
}

extension Metadata: ExpressibleByArgument {
    init?(argument: String) {
        guard let value = try? JSONDecoder().decode(Metadata.self, from: Data(argument.utf8)) else {
            return nil
        }
        self = value
    }
}
