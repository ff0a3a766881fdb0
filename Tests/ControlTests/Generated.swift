import Foundation
import TestSupport
import Testing

/// One line of `l2s generate`.
struct Generated: Decodable {
    let index: Int
    let text: String?
    let tokenIds: [Int32]?
    let timings: [String: Double]?
    let truncated: Bool?
    let parts: Int?
    let error: String?

    static func run(_ flags: [String], _ documents: [String]) async throws -> [Generated] {
        let input = try documents.map { document in
            String(decoding: try JSONEncoder().encode(["document": document]), as: UTF8.self) + "\n"
        }
        let ending = try await BuiltProgram("l2s").run(
            ["generate"] + flags, input: input.joined().utf8)
        // The goldens are older than the LLM's fingerprint in SLM folders.
        let remarks = ending.remarks.split(separator: "\n")
        #expect(remarks.allSatisfy { $0.contains("has no llm_fingerprint") }, "\(remarks)")
        let lines = try lines(ending.output)
        #expect(ending.status == (lines.contains { $0.error != nil } ? 1 : 0))
        return lines
    }

    static func lines(_ output: String) throws -> [Generated] {
        let decoder = JSONDecoder()
        // Not with the strategy for snake case, which would rename the stages, too.
        return try output.split(separator: "\n").map {
            try decoder.decode(Generated.self, from: Data($0.utf8))
        }
    }

    enum CodingKeys: String, CodingKey {
        case index, text, timings, truncated, parts, error
        case tokenIds = "token_ids"
    }
}

/// What transformers wrote: see Tests/Fixtures/golden/README.md.
struct GoldenCase: Decodable {
    let document: String
    let greedyIds: [Int32]
    let beam4Ids: [Int32]?

    /// The folder that a user would name.
    static func model(_ golden: String) -> String {
        Fixtures.path("golden/\(golden)/\(golden.hasPrefix("hybrid") ? "slm" : "llm")")
    }

    static func load(_ golden: String) throws -> [GoldenCase] {
        struct Expected: Decodable { let cases: [GoldenCase] }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let file = URL(fileURLWithPath: Fixtures.path("golden/\(golden)/expected.json"))
        return try decoder.decode(Expected.self, from: Data(contentsOf: file)).cases
    }
}

extension [Int32] {
    /// The engine may count the end token as an id of the output or not. The goldens end with 0, 1 or
    /// 2.
    var droppingEnd: [Int32] { last.map { $0 <= 2 } == true ? dropLast() : self }
}
