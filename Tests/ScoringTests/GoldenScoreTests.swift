import Foundation
import TestSupport
import Testing

@testable import Scoring

/// What rouge-score and sacreBLEU say of 500 pairs: see Tests/Fixtures/scoring/generate.py.
private struct GoldenScores: Decodable {
    struct Case: Decodable {
        let hypothesis: String
        let reference: String
        /// Precision and recall of ROUGE-1, -2 and -L.
        let plain: [[Double]]
        let stemmed: [[Double]]
        let bleu: Double
        let chrf: Double
    }

    struct Corpus: Decodable {
        let count: Int
        let bleu: Double
        let chrf: Double
    }

    let cases: [Case]
    let corpora: [Corpus]
    let stems: [String: String]

    init() throws {
        let data = try Data(contentsOf: URL(filePath: Fixtures.path("scoring/scores.json")))
        self = try JSONDecoder().decode(GoldenScores.self, from: data)
    }
}

@Suite struct GoldenScoreTests {
    private let golden: GoldenScores

    init() throws { golden = try GoldenScores() }

    private func agrees(_ found: Double, _ expected: Double) -> Bool {
        abs(found - expected) <= 1e-6
    }

    @Test func rouge() {
        #expect(golden.cases.count == 500)
        for golden in golden.cases {
            for (stems, expected) in [(false, golden.plain), (true, golden.stemmed)] {
                let scores = ROUGE.scores(
                    target: golden.reference, prediction: golden.hypothesis, stems: stems)
                for (score, expected) in zip([scores.one, scores.two, scores.longest], expected) {
                    #expect(
                        agrees(score.precision, expected[0]) && agrees(score.recall, expected[1]),
                        "\(golden.hypothesis) | \(golden.reference), stems \(stems)")
                }
            }
        }
    }

    @Test func sentences() {
        for golden in golden.cases {
            let bleu = BLEU(hypothesis: golden.hypothesis, reference: golden.reference)
            let chrf = CharacterF(hypothesis: golden.hypothesis, reference: golden.reference)
            let pair = "\(golden.hypothesis) | \(golden.reference)"
            #expect(agrees(bleu.sentenceScore, golden.bleu), "\(pair)")
            #expect(agrees(chrf.score, golden.chrf), "\(pair)")
        }
    }

    @Test func corpora() {
        #expect(golden.corpora.map(\.count) == [1, 2, 25, 100, 500])
        for corpus in golden.corpora {
            var bleu = BLEU()
            var chrf = CharacterF()
            for pair in golden.cases.prefix(corpus.count) {
                bleu += BLEU(hypothesis: pair.hypothesis, reference: pair.reference)
                chrf += CharacterF(hypothesis: pair.hypothesis, reference: pair.reference)
            }
            #expect(agrees(bleu.score, corpus.bleu), "\(bleu.score) of \(corpus.count)")
            #expect(agrees(chrf.score, corpus.chrf), "\(chrf.score) of \(corpus.count)")
        }
    }

    @Test func stems() {
        #expect(golden.stems.count > 1_000)
        let wrong = golden.stems.filter { PorterStemmer.stem($0.key) != $0.value }
        #expect(wrong.isEmpty)
    }
}

@Suite struct AgreementTests {
    @Test(arguments: [
        ("", "", 1), ("Grüße aus Köln", "grüße aus köln!", 1), ("牛丼を食べる", "牛丼を食べた", 0.8),
        ("one two", "three four", 0), ("мама мыла раму", "мама мыла окно", 2.0 / 3),
    ])
    func anyScriptCounts(output: String, other: String, expected: Double) {
        #expect(abs(ROUGE.agreement(output, other) - expected) < 1e-9)
    }
}

@Suite struct BootstrapTests {
    @Test func aSeedGivesTheSameDraws() {
        let draws = Bootstrap(documents: 50, resamples: 20, seed: 7).draws
        #expect(draws == Bootstrap(documents: 50, resamples: 20, seed: 7).draws)
        #expect(draws != Bootstrap(documents: 50, resamples: 20, seed: 8).draws)
        #expect(draws.allSatisfy { $0.count == 50 && $0.allSatisfy((0..<50).contains) })
    }

    /// The interval of the mean of n numbers, half of them 0 and half 1, is 1.96 · 0.5 / √n to
    /// either side.
    @Test func theIntervalIsThatOfTheNormalDistribution() {
        let count = 400
        let interval = Bootstrap(documents: count, resamples: 4_000).interval { draw in
            Double(draw.count { $0 % 2 == 1 }) / Double(count)
        }
        #expect(abs(interval.lowerBound - 0.451) < 0.006)
        #expect(abs(interval.upperBound - 0.549) < 0.006)
    }
}
