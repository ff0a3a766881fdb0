import FoundationEssentials
import TestSupport

/// What a reference library makes of texts and ids: see Fixtures/tokenizers/generate.py.
struct ReferenceCases: Decodable {
    struct Text: Decodable {
        let text: String
        let ids: [Int32]
        let decoded: String
    }

    struct IDs: Decodable {
        let ids: [Int32]
        let decoded: String
    }

    let texts: [Text]
    let ids: [IDs]

    init(_ name: String) throws {
        let path = Fixtures.path("tokenizers/" + name)
        self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(filePath: path)))
    }
}

extension String {
    /// Swift compares strings by canonical equivalence; tokenizers must agree to the byte.
    var bytes: [UInt8] { Array(utf8) }
}
