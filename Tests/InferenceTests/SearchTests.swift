import Foundation
import TestSupport
import Testing

@testable import Inference

/// Searches under constraints, against transformers: see Tests/Fixtures/decoding/generate.py.
@Suite struct SearchTests {
    struct Search: Decodable, Sendable, CustomTestStringConvertible {
        struct Options: Decodable {
            let beams: Int?
            let noRepeatNgram: Int?
            let lengthPenalty: Float?
            let minimumNewTokens: Int?
        }

        struct Written: Decodable {
            let prompt: [Int32]?
            let tokens: [Int32]
            let score: Float?
        }

        let model: String
        let ends: [Int32]
        let options: Options
        let responses: [Written]

        var testDescription: String { "\(model), \(options)" }

        func decoding(of written: Written) -> DecodingOptions {
            DecodingOptions(
                maximumNewTokens: 24, minimumNewTokens: options.minimumNewTokens ?? 0,
                beams: options.beams ?? 1, lengthPenalty: options.lengthPenalty ?? 1,
                noRepeatNgram: options.noRepeatNgram ?? 0,
                decoderPrompt: written.prompt ?? [])
        }
    }

    static let searches = (try? loadDecodingFixture("searches", as: [Search].self)) ?? []
    /// Searches with tokens that the decoder is given first.
    static let prompted = (try? loadDecodingFixture("prompted", as: [Search].self)) ?? []

    @Test func theFixtureHoldsEveryConstraint() {
        #expect(Self.searches.count == 24)
        #expect(Self.prompted.count == 12)
        #expect(Self.prompted.allSatisfy { $0.responses.allSatisfy { $0.prompt != nil } })
        #expect(Self.searches.contains { $0.responses.contains { $0.tokens.count < 24 } })
    }

    @Test(arguments: searches + prompted, [false, true])
    func agreesWithTransformers(search: Search, inOneBatch: Bool) throws {
        let model = try GoldenModel(search.model, endIDs: search.ends)
        let states = model.encode(try Golden.load(search.model).cases.map(\.inputIds))
        let requests = zip(states, search.responses).map {
            (states: $0, options: search.decoding(of: $1), head: nil as OutputHead?)
        }
        let responses =
            inOneBatch ? model.write(requests) : requests.flatMap { model.write([$0]) }
        #expect(responses.map { $0?.tokens } == search.responses.map(\.tokens))
        let scores = search.responses.compactMap(\.score)
        #expect(agrees(responses.compactMap { $0?.score }, scores))
    }

    @Test(arguments: [
        (1, [0, 5, 6], [0, 5, 6]), (2, [0, 5, 6, 5], [6]), (2, [5, 5], [5]), (2, [5], []),
        (3, [1, 2, 3, 1, 2, 4, 1, 2], [3, 4]), (3, [1, 2], []), (4, [], []),
        (64, [1, 2, 3], []),
    ])
    func whatWouldRepeatIsForbidden(run: Int, sequence: [Int32], forbidden: [Int32]) {
        #expect(Constraints.repeats(ending: sequence, run: run) == forbidden)
    }

    /// The prefix of a decoder-only model has no start token: nothing comes before the response.
    @Test func noRunOccursTwiceWhateverWrites() throws {
        for name in Fixtures.goldens + Fixtures.rotary + GoldenTests.classic {
            let model = try GoldenModel(name)
            let states = model.encode(try Golden.load(name).cases.map(\.inputIds))
            for beams in [1, 3] {
                let options = DecodingOptions(maximumNewTokens: 24, beams: beams, noRepeatNgram: 2)
                for response in model.write(states, options: options) {
                    let tokens = try #require(response).tokens
                    let pairs = zip(tokens, tokens.dropFirst()).map { [$0, $1] }
                    #expect(Set(pairs).count == pairs.count, "\(name), \(beams) beams")
                }
            }
        }
    }

    /// Every model goes on from its own output as if it had just written it.
    @Test(arguments: Fixtures.goldens + GoldenTests.classic, [1, 3, 8])
    func anOutputGoesOnFromItsBeginning(name: String, given: Int) throws {
        let model = try GoldenModel(name)
        let cases = try Golden.load(name).cases.filter { $0.greedyIds.count > given }
        #expect(!cases.isEmpty)
        let states = model.encode(cases.map(\.inputIds))
        let requests = zip(cases, states).map { golden, states in
            let options = DecodingOptions(
                maximumNewTokens: golden.greedyIds.count - given,
                decoderPrompt: Array(golden.greedyIds.prefix(given)))
            return (states: states, options: options, head: nil as OutputHead?)
        }
        // Requests with a decoder's prompt and requests without are in one replica.
        let plain = cases.indices.map {
            (
                states: states[$0], options: DecodingOptions(maximumNewTokens: 24),
                head: nil as OutputHead?
            )
        }
        let responses = model.write(requests + plain)
        for (index, golden) in cases.enumerated() {
            #expect(responses[index]?.tokens == Array(golden.greedyIds.dropFirst(given)))
            #expect(responses[cases.count + index]?.tokens == golden.greedyIds)
        }
    }

    /// Every kind of search in one replica at once writes what it writes alone.
    @Test(arguments: Fixtures.goldens + Fixtures.rotary + GoldenTests.classic)
    func searchesDoNotDisturbEachOther(name: String) throws {
        let model = try GoldenModel(name)
        let states = model.encode(try Golden.load(name).cases.map(\.inputIds))
        let short = model.decoder.head.restricted(
            to: 3..<Int32(min(700, model.decoder.head.columns)))
        let kinds: [(DecodingOptions, OutputHead?)] = [
            (DecodingOptions(maximumNewTokens: 12), nil),
            (DecodingOptions(maximumNewTokens: 24, noRepeatNgram: 1), short),
            (DecodingOptions(maximumNewTokens: 9, beams: 3), short),
            (DecodingOptions(maximumNewTokens: 15, beams: 2, noRepeatNgram: 2), nil),
            (DecodingOptions(maximumNewTokens: 20, sampling: Sampling(topP: 0.9, seed: 3)), nil),
        ]
        let requests = states.flatMap { states in kinds.map { (states, $0.0, $0.1) } }
        let together = model.write(requests.shuffledByPosition)
        for (request, response) in zip(requests.shuffledByPosition, together) {
            #expect(model.write([request]) == [response])
        }
        let replica = DecoderReplica(model: model.decoder)
        replica.admit(
            requests.enumerated().map {
                .init(id: $0, states: $1.0, options: $1.1, head: $1.2)
            })
        #expect(replica.count == requests.count)
        #expect(replica.rowCapacity == states.count * 8)
        _ = replica.step()
        replica.remove { $0 % kinds.count != 3 }
        #expect(replica.count <= states.count && replica.rowCapacity == 2 * replica.count)
    }
}

/// A file of Tests/Fixtures/decoding.
func loadDecodingFixture<Content: Decodable>(
    _ name: String, as _: Content.Type
) throws -> Content {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let path = Fixtures.path("decoding/\(name).json")
    return try decoder.decode(Content.self, from: Data(contentsOf: URL(filePath: path)))
}

extension Array {
    /// Another order, which is the same on every run.
    fileprivate var shuffledByPosition: [Element] {
        var random = SeededRandom(seed: 7)
        return shuffled(using: &random)
    }
}
