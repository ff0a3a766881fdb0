import TestSupport
import Testing

@testable import Inference

@Suite struct SamplingTests {
    struct Distribution: Decodable, Sendable, CustomTestStringConvertible {
        let logits: [Float]
        let temperature: Float
        let topK: Int
        let topP: Float
        let tokens: [Int]
        let probabilities: [Double]

        var testDescription: String { "temperature \(temperature), k \(topK), p \(topP)" }
        var sampling: Sampling {
            Sampling(temperature: temperature, topK: topK, topP: topP, seed: 0)
        }
        var choices: [Sampling.Choice] {
            let buffer = FloatBuffer(logits)
            return withExtendedLifetime(buffer) {
                sampling.distribution(buffer.rows(width: logits.count))
            }
        }
    }

    static let distributions =
        (try? loadDecodingFixture("distributions", as: [Distribution].self)) ?? []

    @Test func theFixtureHoldsEveryFilter() { #expect(Self.distributions.count == 35) }

    @Test(arguments: distributions)
    func keepsWhatTransformersKeeps(expected: Distribution) {
        let choices = expected.choices.sorted { $0.column < $1.column }
        #expect(choices.map(\.column) == expected.tokens)
        for (choice, probability) in zip(choices, expected.probabilities) {
            #expect(abs(choice.probability - probability) <= 1e-5)
        }
    }

    @Test func extremesNeitherTrapNorSpread() {
        func columns(_ logits: [Float], _ sampling: Sampling) -> [Int] {
            let buffer = FloatBuffer(logits)
            return withExtendedLifetime(buffer) {
                sampling.distribution(buffer.rows(width: logits.count)).map(\.column)
            }
        }
        let infinity = Float.infinity
        #expect(columns([1, 3, 2], Sampling(temperature: 1e-30, seed: 0)) == [1])
        #expect(columns([1, 3, 2], Sampling(topP: 1e-9, seed: 0)) == [1])
        #expect(columns([-infinity, 3, -infinity], Sampling(topK: 2, seed: 0)) == [1])
        #expect(columns([-infinity, -infinity], Sampling(seed: 0)) == [])
        let many = (0..<1_000).map { Float($0) / 1_000 }
        #expect(columns(many, Sampling(topK: 300, seed: 0)).sorted() == Array(700..<1_000))
    }

    /// 20,000 draws of one stream, by the chi-squared test.
    @Test(arguments: [UInt64(0), 1, 99])
    func drawsFollowTheProbabilities(seed: UInt64) throws {
        let choices = try #require(Self.distributions.first).choices
            .filter { $0.probability > 5e-4 }
        let mass = choices.reduce(0) { $0 + $1.probability }
        let expected = choices.map {
            Sampling.Choice(column: $0.column, probability: $0.probability / mass)
        }
        var random = RandomStream(seed: seed)
        var counts: [Int: Double] = [:]
        let draws = 20_000.0
        for _ in 0..<Int(draws) {
            let column = random.draw(expected)
            counts[try #require(column), default: 0] += 1
        }
        let chiSquared = expected.reduce(0) { sum, choice in
            let difference = counts[choice.column, default: 0] - draws * choice.probability
            return sum + difference * difference / (draws * choice.probability)
        }
        // Mean d, variance 2d: four deviations are met by chance once in ten thousand seeds.
        let degrees = Double(expected.count - 1)
        #expect(chiSquared < degrees + 4 * (2 * degrees).squareRoot())
        #expect(chiSquared > degrees - 4 * (2 * degrees).squareRoot())
    }

    @Test func aSeedIsOneOfAPromptAndPart() {
        let seeds = [
            RandomStream.seed(1, prompt: [5, 6], part: 0),
            RandomStream.seed(2, prompt: [5, 6], part: 0),
            RandomStream.seed(1, prompt: [6, 5], part: 0),
            RandomStream.seed(1, prompt: [5], part: 0),
            RandomStream.seed(1, prompt: [5, 6], part: 1),
            RandomStream.seed(1, prompt: [], part: 5),
        ]
        #expect(Set(seeds).count == seeds.count)
        // What is drawn for a stored seed stays the same from version to version.
        #expect(seeds[0] == 17_368_243_143_975_016_801)
    }

    @Test(arguments: Fixtures.goldens + Fixtures.rotary + GoldenTests.classic)
    func theSameSeedDrawsTheSameAndAnotherDoesNot(name: String) throws {
        let model = try GoldenModel(name)
        let states = model.encode(try Golden.load(name).cases.map(\.inputIds))
        func write(_ seed: UInt64, _ states: [PromptStates]) -> [Response?] {
            let sampling = Sampling(temperature: 1.2, topK: 50, seed: seed)
            return model.write(
                states, options: DecodingOptions(maximumNewTokens: 24, sampling: sampling))
        }
        let together = write(1, states)
        #expect(together == states.flatMap { write(1, [$0]) })
        #expect(zip(together, write(2, states)).allSatisfy { $0 != $1 })
    }
}
