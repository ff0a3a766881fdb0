import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// What generation_config.json forbids, and how beams end: see Fixtures/decoding/generate_rules.py.
@Suite struct RulesTests {
    struct Search: Decodable, Sendable, CustomTestStringConvertible {
        struct Options: Decodable {
            let beams: Int
            let earlyStopping: String?
            let lengthPenalty: Float?
            let noRepeatNgram: Int?
        }

        struct Written: Decodable {
            let tokens: [Int32]
            let score: Float?
        }

        struct Rules: Decodable {
            let renormalizeLogits: Bool?
            let beginSuppressTokens: [Int32]?
            let badWordsIds: [[Int32]]?
            let suppressTokens: [Int32]?
        }

        let model: String
        let generation: Rules
        let options: Options
        let responses: [Written]

        var testDescription: String { "\(model), \(options)" }
    }

    static let searches = (try? loadDecodingFixture("rules", as: [Search].self)) ?? []

    @Test func theFixtureHoldsEveryRule() {
        #expect(Self.searches.count == 11)
        #expect(Self.searches.contains { $0.generation.badWordsIds?.isEmpty == false })
    }

    @Test(arguments: searches, [false, true])
    func agreesWithTransformers(search: Search, inOneBatch: Bool) throws {
        let copy = try ScratchFolder()
        let root = Fixtures.classic.contains(search.model) ? "golden" : "families"
        try copy.copy(fixture: "\(root)/\(search.model)/llm")
        let file = URL(filePath: copy.path + "/llm/generation_config.json")
        var fields =
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
        let rules = search.generation
        fields["renormalize_logits"] = rules.renormalizeLogits ?? false
        let lists: [(String, Any?)] = [
            ("begin_suppress_tokens", rules.beginSuppressTokens),
            ("bad_words_ids", rules.badWordsIds), ("suppress_tokens", rules.suppressTokens),
        ]
        for (name, value) in lists {
            if let value { fields[name] = value }
        }
        try JSONSerialization.data(withJSONObject: fields).write(to: file)
        let model = try GoldenModel(search.model, in: copy.path)
        let early: [String: DecodingOptions.EarlyStopping] = ["true": .yes, "never": .never]
        let options = DecodingOptions(
            maximumNewTokens: 24, beams: search.options.beams,
            lengthPenalty: search.options.lengthPenalty ?? 1,
            earlyStopping: early[search.options.earlyStopping ?? ""] ?? .no,
            noRepeatNgram: search.options.noRepeatNgram ?? 0)
        let states = model.encode(try Golden.load(search.model).cases.map(\.inputIds))
        let responses =
            inOneBatch
            ? model.write(states, options: options)
            : states.flatMap { model.write([$0], options: options) }
        #expect(responses.map { $0?.tokens } == search.responses.map(\.tokens))
        #expect(agrees(responses.compactMap { $0?.score }, search.responses.compactMap(\.score)))
    }
}
