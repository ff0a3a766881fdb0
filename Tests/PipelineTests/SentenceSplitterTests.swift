import TestSupport
import Testing

@testable import Pipeline

@Suite struct SentenceSplitterTests {
    private func split(_ text: String, _ budget: Int) -> [String] {
        SentenceSplitter(cost: { $0.count }, budget: budget).split(text)
    }

    @Test func cutsAfterSentencesAndKeepsNeighboursTogether() {
        #expect(split("One. Two! Three?", 9) == ["One. Two!", " Three?"])
        #expect(split("First line\n\nSecond", 12) == ["First line\n", "\nSecond"])
        #expect(split("一。二。三。", 4) == ["一。二。", "三。"])
    }

    @Test func cutsBetweenWordsThenCharacters() {
        #expect(split("aaa bbb ccc", 8) == ["aaa bbb ", "ccc"])
        #expect(split("abcdefgh", 3) == ["ab", "cd", "ef", "gh"])
    }

    @Test func losesNothingAndKeepsToTheBudget() {
        let seed = SeededRandom.newSeed()
        var random = SeededRandom(seed: seed)
        let alphabet = Array("ab .!?\n。é👩‍👩‍👧")
        for _ in 0..<300 {
            let length = Int.random(in: 0...80, using: &random)
            let text = String(
                (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                })
            let budget = Int.random(in: 1...12, using: &random)
            let parts = split(text, budget)
            #expect(parts.joined() == text, "seed \(seed)")
            #expect(parts.allSatisfy { $0.count <= budget && !$0.isEmpty }, "seed \(seed)")
        }
    }
}
