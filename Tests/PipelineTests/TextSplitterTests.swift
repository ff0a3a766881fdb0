import TestSupport
import Testing

@testable import Pipeline

@Suite struct TextSplitterTests {
    private func split(_ text: String, _ budget: Int, keepsLines: Bool = true) -> SplitText {
        TextSplitter(cost: { $0.count }, budget: budget, keepsLines: keepsLines).split(text)
    }

    private func parts(_ text: String, _ budget: Int = 1_000) -> [String] {
        split(text, budget).parts.map(\.text)
    }

    /// The joined text, where each part is written as it is.
    private func copied(_ text: String, _ budget: Int) -> String {
        let split = split(text, budget)
        return split.joined(split.parts.map(\.text))
    }

    @Test func cutsAfterSentencesAndKeepsNeighboursTogether() {
        #expect(parts("One. Two! Three?", 10) == ["One. Two!", "Three?"])
        #expect(parts("First line.\n\nSecond", 12) == ["First line.", "Second"])
        #expect(parts("一。二。三。", 4) == ["一。二。", "三。"])
    }

    @Test func cutsBetweenWordsThenCharacters() {
        #expect(parts("aaa bbb ccc", 8) == ["aaa bbb", "ccc"])
        #expect(parts("abcdefgh", 3) == ["ab", "cd", "ef", "gh"])
    }

    /// Hindi, Urdu, Arabic, Armenian, Amharic, Burmese, Khmer and full-width Latin.
    @Test(arguments: [
        "पहला वाक्य। |दूसरा वाक्य॥ |तीसरा", "پہلا جملہ۔ |دوسرا جملہ", "هل هذا؟ |نعم هذا", "Առաջին։ |Երկրորդ։",
        "አንድ።|ሁለት።", "တစ်။|နှစ်။", "ប្រយោគ។|ប្រយោគ។", "全角．|次の文", "「はい！」|次の文。", "这是第一句！|「好。」|他说。",
    ])
    func endsSentencesOfManyScripts(marked: String) {
        let sentences = marked.split(separator: "|").map(String.init)
        let longest = sentences.map(\.count).max() ?? 0
        let found = parts(sentences.joined(), longest)
        let trimmed = sentences.map {
            String($0.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        }
        // Short neighbours may be packed together, but nothing is cut within a sentence.
        var rest = trimmed[...]
        for part in found {
            var built = ""
            while let next = rest.first, part.filter({ !$0.isWhitespace }) != built {
                built += next.filter { !$0.isWhitespace }
                rest = rest.dropFirst()
            }
            #expect(part.filter { !$0.isWhitespace } == built, "\(found)")
        }
        #expect(found.count > 1)
    }

    @Test(arguments: [
        "We met Dr. Smith at noon.", "The U.S. Army is there.", "See fig. 3 for it.",
        "J. S. Bach wrote it.",
    ])
    func abbreviationsEndNoSentence(sentence: String) {
        #expect(
            parts(sentence + " And then some.", sentence.count) == [sentence, "And then some."])
    }

    @Test func keepsTheShapeOfTheText() {
        let text = """
            A headline

            First paragraph, first. And the second one.
            A line of its own.

            - one thing
            - another thing
              1. numbered
            """
        #expect(copied(text, 30) == text)
        #expect(parts(text, 30).contains("one thing"))
    }

    @Test func readsWrappedLinesAsOne() {
        let text = "This sentence was wrapped\nby somebody. It ends here.\nAnother one."
        #expect(
            parts(text, 100) == [
                "This sentence was wrapped\nby somebody. It ends here.", "Another one.",
            ])
    }

    @Test func putsNoBlankBetweenScriptsWithoutThem() {
        let chinese = String(repeating: "这是第一句。这是第二句。", count: 20)
        #expect(copied(chinese, 20) == chinese)
        #expect(parts(chinese, 20).count > 10)
        let split = split("这是第一句。这是第二句。", 6)
        #expect(split.joined(["First.", "Second."]) == "First. Second.")
        #expect(self.split("One. Two.", 5).joined(["一。", "二。"]) == "一。二。")
    }

    @Test func cutsLongTextWithoutBlanks() {
        let word = String(repeating: "abcdefghij", count: 50)
        #expect(copied(word, 64) == word)
        let thai = String(repeating: "สวัสดีชาวโลก", count: 20)
        #expect(copied(thai, 30) == thai)
    }

    @Test func losesNothingAndKeepsToTheBudget() {
        let seed = SeededRandom.newSeed()
        var random = SeededRandom(seed: seed)
        let alphabet = Array("ab .!?\n。é👩‍👩‍👧-1「A")
        for _ in 0..<300 {
            let length = Int.random(in: 0...80, using: &random)
            let text = String(
                (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                })
            let budget = Int.random(in: 1...12, using: &random)
            for keepsLines in [true, false] {
                let split = split(text, budget, keepsLines: keepsLines)
                let whole = split.parts.map { $0.lead + $0.text }.joined() + split.trail
                #expect(whole == text, "seed \(seed)")
                #expect(
                    split.parts.allSatisfy { $0.text.count <= budget && !$0.text.isEmpty },
                    "seed \(seed)")
            }
        }
    }
}
